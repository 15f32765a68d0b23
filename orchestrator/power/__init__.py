"""Switch the supply of devices from the controller's side: plugs, PDUs, USB hubs."""
