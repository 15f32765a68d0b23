"""Call functions of the C library that Python does not offer."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from mmap import mmap
    from typing import Any, Callable

_CLONE_FILES = 0x400
_functions: dict[str, Any] = {}


def load_prctl() -> Callable[[int, int], int] | None:
    """Return prctl(2) of an option and one argument, or None where Python has no ctypes, as in small builds."""
    prctl = _load("prctl")
    if prctl is None:
        return None
    return lambda option, value: int(prctl(option, value, 0, 0, 0))


def unshare_files() -> bool:
    """Give the calling thread a table of open files of its own, and return False where that is not possible.

    Source: unshare(2). Containers may forbid the call.
    """
    unshare = _load("unshare")
    return unshare is not None and unshare(_CLONE_FILES) == 0


def load_mincore() -> Callable[[mmap, int], bytes] | None:
    """Return mincore(2) of a writable mapping and the number of pages, or None where Python has no ctypes.

    The answer has a byte for each page, with the lowest bit set for a page in memory, and none where the call fails.
    """
    mincore = _load("mincore")
    if mincore is None:
        return None

    def call(mapped: mmap, pages: int) -> bytes:
        import ctypes

        flags = (ctypes.c_ubyte * pages)()
        first = ctypes.c_char.from_buffer(mapped)
        failed = mincore(ctypes.addressof(first), len(mapped), ctypes.addressof(flags))
        del first  # a mapping in use cannot be closed
        return b"" if failed else bytes(flags)

    return call


def _load(name: str) -> Any:
    """Return a function of whole numbers and addresses, or None where there is none."""
    if name not in _functions:
        try:
            import ctypes  # here: a slow device takes tens of milliseconds for the import

            _functions[name] = getattr(ctypes.CDLL(None, use_errno=True), name)
            words = {"prctl": [ctypes.c_int] + [ctypes.c_ulong] * 4, "mincore": [ctypes.c_size_t] * 3}
            _functions[name].argtypes = words.get(name, [ctypes.c_int])
        except (ImportError, OSError, AttributeError):
            _functions[name] = None
    return _functions[name]
