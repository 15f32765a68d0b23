"""Keep the worker's files: blobs, bundles, logs and locks, with the disk room for each."""
