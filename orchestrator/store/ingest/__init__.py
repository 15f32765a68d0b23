"""Turn the records of device logs into rows. No other code writes attempts, measurements or samples."""
