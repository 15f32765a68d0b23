"""Talk to the operating system: files, processes, mounts and login sessions."""
