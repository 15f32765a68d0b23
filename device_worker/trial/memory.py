"""Tell what each stage of a trial adds to the resident memory of the calling process, and the peak."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_SELF = "/proc/self"
_RESET = "5"  # resets VmHWM: proc(5), since Linux 4.0
_KIB = 1024
_UNREADABLE = "the kernel does not tell the process its resident memory"


class MemoryStages:
    """The resident memory at the ends of stages. `folder` is the process's folder in /proc.

    The interpreter with the worker's own modules is the first stage, and ends here.
    """

    def __init__(self, folder: str = _SELF) -> None:
        self._folder = folder
        self._figures: dict[str, int | None] = {}
        self._reasons: dict[str, str] = {}
        self._resident: int | None = None
        self._peak_at_reset: int | None = None
        self._is_reset = False
        self.end("rss_interpreter_bytes", is_whole=True)

    def end(self, metric: str, is_whole: bool = False) -> None:
        """End a stage: keep what the memory has grown by since the last reading, or with `is_whole` the memory."""
        before, self._resident = self._resident, read_resident_bytes(self._folder)
        if self._resident is None or (before is None and not is_whole):
            self._miss(metric, _UNREADABLE)
        else:
            self._figures[metric] = self._resident if is_whole or before is None else self._resident - before

    def begin_model(self) -> None:
        """Begin the model's part. What was read and allocated since the last stage belongs to no stage."""
        self._is_reset = reset_peak(self._folder)
        self._peak_at_reset = read_peak_bytes(self._folder)
        self._resident = read_resident_bytes(self._folder)

    def end_model(self) -> None:
        """Keep how far memory rose above the beginning of the model's part."""
        self._keep_peak("rss_model_bytes_max", is_above_reset=True)

    def end_peak(self) -> None:
        """Keep the highest memory of the process since the model's part began, and what of it is in swap."""
        swapped = _read_kib(self._folder + "/status", "VmSwap:")
        if swapped is None:
            self._miss("swap_bytes", "the kernel does not tell what of the process is in swap")
        else:
            self._figures["swap_bytes"] = swapped
        self._keep_peak("rss_bytes_max", is_above_reset=False)

    def figures(self) -> Iterator[tuple[str, int | None, str | None]]:
        """Yield each figure in bytes by its metric, with the reason for a missing figure."""
        for metric, value in self._figures.items():
            yield metric, value, self._reasons.get(metric)

    def _keep_peak(self, metric: str, is_above_reset: bool) -> None:
        begin, peak = self._peak_at_reset, read_peak_bytes(self._folder)
        if peak is None or begin is None:
            self._miss(metric, _UNREADABLE)
        # Without a reset the peak may be that of the imports. A peak that has grown since is the model's.
        elif not self._is_reset and (is_above_reset or peak <= begin):
            self._miss(metric, "the kernel does not let the process reset its peak memory (/proc/self/clear_refs)")
        else:
            self._figures[metric] = peak - begin if is_above_reset else peak

    def _miss(self, metric: str, reason: str) -> None:
        self._figures[metric] = None
        self._reasons[metric] = reason


def reset_peak(folder: str = _SELF) -> bool:
    """Reset the peak memory of the calling process, and return True if the kernel allows the reset."""
    try:
        with open(folder + "/clear_refs", "w") as file:
            file.write(_RESET)
    except OSError:
        return False
    return True


def read_peak_bytes(folder: str = _SELF) -> int | None:
    """Return the peak memory of the calling process since the last reset in bytes, or None if unknown."""
    return _read_kib(folder + "/status", "VmHWM:")  # not ru_maxrss, which a process inherits from its parent


def read_resident_bytes(folder: str = _SELF) -> int | None:
    """Return the resident memory of the calling process in bytes, or None if unknown."""
    # VmRSS lags by up to 64 pages a thread, or a batch of pages a processor: proc(5). The rollup counts the pages.
    exact = _read_kib(folder + "/smaps_rollup", "Rss:")  # since Linux 4.14
    return _read_kib(folder + "/status", "VmRSS:") if exact is None else exact


def _read_kib(path: str, name: str) -> int | None:
    try:
        with open(path) as file:
            for line in file:
                if line.startswith(name):
                    return int(line.split()[1]) * _KIB
    except (OSError, ValueError, IndexError):
        pass
    return None
