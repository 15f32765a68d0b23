"""Read the peak of this process's own memory: VmHWM, since ru_maxrss is inherited from whoever forked it."""

from __future__ import annotations


def reset_peak() -> bool:
    """Begin a new peak at what is in use now; False where the kernel does not let us."""
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        return False
    return True


def read_peak_bytes() -> int | None:
    """Return the peak since the last reset, or since the process began."""
    try:
        with open("/proc/self/status") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return None
