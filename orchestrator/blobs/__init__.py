"""Make and keep the files shipped to devices: content-addressed blobs, reproducible archives, runtime bundles."""
