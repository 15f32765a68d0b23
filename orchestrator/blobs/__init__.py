"""What is shipped to devices: content-addressed files, reproducible archives, runtime bundles."""
