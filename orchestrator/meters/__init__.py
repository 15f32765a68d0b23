"""Read power meters from the controller's side."""
