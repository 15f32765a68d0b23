"""Read the device's sensors: conditions of validity and power."""
