"""Make the environment of a trial: what matters to a measurement is set here, and nothing comes along unasked.

A login's variables decide how many threads a library starts, which allocator a program gets and how a number is
printed. Two logins of one device would measure two things. Only variables that tell where programs, libraries and
folders are come from the login.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Mapping

PLACES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH")
"""Variables of the login that a trial keeps: where things are."""

PYTHON_PLACES = ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "PYTHONNOUSERSITE")
"""Where the device's own Python finds packages: the facts have found the runtimes of the system there."""

OWN_PREFIX = "BENCHFLEET_"

THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
"""How libraries are told a number of threads."""

_WEIGHTY_NAMES = """
    OMP_ GOMP_ KMP_ MKL_ OPENBLAS_ GOTO_ BLIS_ NUMEXPR_ VECLIB_ TBB_ DNNL_ ONEDNN_ TF_ TFLITE_ XLA_ ORT_
    XNNPACK_ CUDA_ NVIDIA_ HIP_ ROCR_ GPU_ LD_ GLIBC_ MALLOC_ MIMALLOC_ TCMALLOC_ JEMALLOC_ PYTHON LC_ LANG
    OPENVINO_ TORCH_ PYTORCH_ NUMBA_ ARM_ ACL_ ETHOS EDGETPU HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
"""
_WEIGHTY = tuple(_WEIGHTY_NAMES.split())
"""How the names begin that a record tells of when a login has them and a trial has not."""

_TOLD_MAX = 40
_LOCALES = ("C.UTF-8", "C.utf8")


class TrialEnvironment:
    """The environments of a run's trials. `asked` has the variables that the sweep asks for.

    A variable asked for without a value comes from the login.
    """

    def __init__(self, asked: Mapping[str, str | None], login: Mapping[str, str] = os.environ) -> None:
        self._asked = asked
        self._login = dict(login)
        self._locale = find_locale()

    def make(self, *, threads: object, is_isolated: bool) -> tuple[dict[str, str], dict[str, Any]]:
        """Return the environment of a trial, and the record of it.

        `threads` is the cell's number of threads, or None if the cell leaves it to the program. An isolated Python has
        its packages from a bundle.
        """
        places = PLACES if is_isolated else PLACES + PYTHON_PLACES
        made = {name: value for name, value in self._login.items() if name in places or name.startswith(OWN_PREFIX)}
        # Short, since each record has it: values that the sweep asks for stand in the plan.
        record: dict[str, Any] = {"locale": self._locale}
        made["LC_ALL"] = self._locale
        if threads is not None:
            made.update(dict.fromkeys(THREADS, str(threads)))
            record["threads"] = threads
        passed: dict[str, str | None] = {}
        for name, value in self._asked.items():
            if value is not None:
                made[name] = value
                continue
            made.pop(name, None)
            passed[name] = None
            if name in self._login:
                made[name] = self._login[name]
                passed[name] = _fingerprint(self._login[name])
        if passed:
            record["passed"] = passed
        left_out = sorted(
            name for name, value in self._login.items() if made.get(name) != value and name.upper().startswith(_WEIGHTY)
        )
        if left_out:
            record["left_out"] = left_out[:_TOLD_MAX]
        return made, record


def _fingerprint(value: str) -> str:
    """Return what tells two values apart without a word of either: a variable may hold a secret."""
    import hashlib  # seldom wanted

    return f"sha256:{hashlib.sha256(value.encode('utf-8', 'surrogateescape')).hexdigest()[:12]}"


def find_locale() -> str:
    """Return the name of a locale with UTF-8 and with numbers as programs read them, or C."""
    from locale import LC_CTYPE, Error, setlocale

    before = setlocale(LC_CTYPE, None)
    for name in _LOCALES:
        try:
            setlocale(LC_CTYPE, name)
        except Error:
            continue
        setlocale(LC_CTYPE, before)
        return name
    return "C"
