"""Tell an exception with its causes, the first cause in front.

Libraries wrap what went wrong in words of their own: numpy says not to import it from its source directory, where a
library could not be mapped, is missing, or was built for another processor.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Iterator

_CAUSES_MAX = 8
_WORDS_MAX = 300
_HEAD_MAX = 100
_MODULES_SHOWN_MAX = 3
_LIBRARY_ENDINGS = (".so", ".pyd", ".dylib")


def describe(error: BaseException) -> str:
    """Return an exception and its causes on one line, the innermost first."""
    told: list[str] = []
    for cause in reversed(list(_chain(error))):
        text = _words(cause)
        if text not in told:  # an exception raised again with the same words tells nothing new
            told.append(text)
    return ", which led to ".join(told)


def is_caused(error: BaseException) -> bool:
    """Return True if an exception has a cause, whose traceback is worth keeping."""
    return next(_causes(error), None) is not None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception, its cause, the cause's cause and so on, each once."""
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen and len(seen) < _CAUSES_MAX:
        seen.add(id(found))
        yield found
        found = next(_causes(found), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__


def _words(error: BaseException) -> str:
    text = " ".join(str(error).split())
    if len(text) > _WORDS_MAX:  # libraries of C++ begin with place and signature, and end with the reason
        text = f"{text[:_HEAD_MAX]} … {text[_HEAD_MAX - _WORDS_MAX :]}"
    name = type(error).__name__
    said = f"{name}: {text}" if text else name
    foreign = _foreign_builds(error)
    return f"{said} (there is {foreign}, built for another Python or processor)" if foreign else said


def _foreign_builds(error: BaseException) -> str | None:
    """Return the extension modules that bear the name of a module not found, or None.

    Python passes over a module whose file name has the tag of another interpreter or processor, as if there were none.
    """
    name = getattr(error, "name", None)
    if not isinstance(error, ModuleNotFoundError) or not name:
        return None
    *parents, last = name.split(".")
    # The parent may be a module no longer: a package whose import has failed is taken out of sys.modules.
    folders = [os.path.join(entry, *parents) for entry in sys.path]
    found = sorted({entry for folder in folders for entry in _list(folder) if _is_build_of(last, entry)})
    return ", ".join(found[:_MODULES_SHOWN_MAX]) or None


def _is_build_of(module: str, entry: str) -> bool:
    return entry.startswith(module + ".") and entry.endswith(_LIBRARY_ENDINGS)


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []
