"""Exceptions told with their causes, the first in front."""

import pytest

from device_worker.trial.causes import describe, is_caused


def raised(action):
    with pytest.raises((ImportError, ValueError)) as caught:
        action()
    return caught.value


def as_numpy_does():
    try:
        raise ImportError("libopenblas.so.0: cannot open shared object file: No such file or directory")
    except ImportError as error:
        raise ImportError(
            "Error importing numpy: you should not try to import numpy from\n  its source directory"
        ) from error


def test_the_first_cause_comes_first():
    error = raised(as_numpy_does)
    assert describe(error) == (
        "ImportError: libopenblas.so.0: cannot open shared object file: No such file or directory, which led to "
        "ImportError: Error importing numpy: you should not try to import numpy from its source directory"
    )
    assert is_caused(error)


def test_an_exception_alone_is_as_it_was():
    error = ValueError("no such operator")
    assert describe(error) == "ValueError: no such operator"
    assert not is_caused(error)
    assert describe(KeyError()) == "KeyError"


def handled(explicit):
    try:
        raise OSError("first")
    except OSError:
        if explicit:
            raise ValueError("last") from None
        raise ValueError("last")  # noqa: B904 as libraries do


def test_what_happened_while_another_was_handled_counts_unless_it_is_hidden_on_purpose():
    assert describe(raised(lambda: handled(False))) == "OSError: first, which led to ValueError: last"
    assert describe(raised(lambda: handled(True))) == "ValueError: last"


def test_the_same_words_are_said_once_and_a_circle_ends():
    one, other = ValueError("x"), ValueError("x")
    one.__cause__, other.__cause__ = other, one
    assert describe(one) == "ValueError: x"


def test_an_endless_text_is_cut():
    assert len(describe(ValueError("x" * 10000))) < 400


def test_a_module_built_for_another_python_or_processor_is_named(tmp_path, monkeypatch):
    """As a wheel of another processor: the file is there, and Python passes over it."""
    package = tmp_path / "fastlib"
    package.mkdir()
    (package / "__init__.py").write_text("from fastlib import _core\nimport fastlib._kernels\n")
    (package / "_core.py").write_text("")
    (package / "_kernels.cpython-36m-mips-linux-gnu.so").write_bytes(b"")
    monkeypatch.syspath_prepend(str(tmp_path))

    def load():
        import fastlib  # noqa: F401

    said = describe(raised(load))
    assert "_kernels.cpython-36m-mips-linux-gnu.so, built for another Python or processor" in said
