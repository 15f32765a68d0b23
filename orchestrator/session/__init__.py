"""Talk to the worker of a device: collect facts, upload blobs, start a runner, follow the log, rescue the device."""
