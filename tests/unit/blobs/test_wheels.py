"""What uv 0.8, uv 0.13 and pip 26 really printed, and what it means; hosts are replaced."""

import sys
from pathlib import Path

import pytest

from orchestrator.blobs.packages import Contents
from orchestrator.blobs.targets import Installer, NoWheel, WheelTarget
from orchestrator.blobs.wheels import WheelRequest, pip_command, pip_failure, uv_command, uv_failure
from orchestrator.domain.errors import BundleError

UV_TARGET = WheelTarget(Installer.UV, "x86_64", ("x86_64-manylinux_2_36",), "3.12")
PIP_TARGET = WheelTarget(Installer.PIP, "armv7l", ("manylinux2014_armv7l", "linux_armv7l"), "3.9", ("numpy",))

NO_TAG = """Using CPython 3.11.7 interpreter at: /opt/python
error: No solution found when resolving dependencies
  cause: Because tflite-runtime==2.14.0 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require \
tflite-runtime==2.14.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.12 (`cp312`), but we only found wheels for `tflite-runtime` (v2.14.0) with the following \
Python ABI tags: `cp38`, `cp39`, `cp310`, `cp311`
"""
NO_TAG_BOXED = """Using CPython 3.11.7 interpreter at: /opt/python
  × No solution found when resolving dependencies:
  ╰─▶ Because tflite-runtime==2.14.0 has no wheels with a matching Python
      ABI tag (e.g., `cp312`) and you require tflite-runtime==2.14.0, we can
      conclude that your requirements are unsatisfiable.

      hint: You require CPython 3.12 (`cp312`), but we only found wheels for
      `tflite-runtime` (v2.14.0) with the following Python ABI tags: `cp38`,
      `cp39`, `cp310`, `cp311`
"""
NO_PLATFORM = """error: No solution found when resolving dependencies
  cause: Because tflite-runtime==2.14.0 has no wheels with a matching platform tag (e.g., `manylinux_2_17_x86_64`) and \
you require tflite-runtime==2.14.0, we can conclude that your requirements are unsatisfiable.

hint: Wheels are available for `tflite-runtime` (v2.14.0) on the following platforms: `manylinux_2_34_x86_64`
"""
NO_DEPENDENCY = """error: No solution found when resolving dependencies
  cause: Because numpy==1.26.4 has no wheels with a matching Python ABI tag (e.g., `cp312`) and tflite-runtime==2.14.0 \
depends on numpy>=1.23.2, we can conclude that tflite-runtime==2.14.0 cannot be used.
"""
NO_PYTHON = """error: No solution found when resolving dependencies
  cause: Because the requested Python version (>=3.7) does not satisfy Python>=3.9 and tflite-runtime==2.14.0 depends \
on Python>=3.9, we can conclude that tflite-runtime==2.14.0 cannot be used.
"""
NO_VERSION = """error: No solution found when resolving dependencies
  cause: Because there is no version of tflite-runtime==2.14.0 and you require tflite-runtime==2.14.0, we can conclude \
that your requirements are unsatisfiable.
"""
NO_VERSION_BOXED = """
  × No solution found when resolving dependencies:
  ╰─▶ Because there is no version of tflite-runtime==2.14.0 and you require
      tflite-runtime==2.14.0, we can conclude that your requirements are
      unsatisfiable.
"""
UNKNOWN_PACKAGE = """error: No solution found when resolving dependencies
  cause: Because tflite-runtime was not found in the package registry and you require tflite-runtime==2.14.0, we can \
conclude that your requirements are unsatisfiable.
"""
FORBIDDEN = (
    UNKNOWN_PACKAGE
    + """
hint: An index (https://ann:hunter2@index.example/simple) returned a 403 Forbidden error. Check that the index URL is \
correct and the credentials are valid.
"""
)
UNAUTHORISED = (
    UNKNOWN_PACKAGE
    + """
hint: An index URL (https://index.example/simple) could not be queried due to a lack of valid authentication \
credentials (401 Unauthorized)
"""
)
OFFLINE_BOXED = """
  × No solution found when resolving dependencies:
  ╰─▶ Because tflite-runtime was not found in the cache and you require
      tflite-runtime==2.14.0, we can conclude that your requirements are
      unsatisfiable.

      hint: Packages were unavailable because the network was disabled. When
      the network is disabled, registry packages may only be read from the
      cache.
"""
REFUSED = """Using CPython 3.11.7 interpreter at: /opt/python
error: Request failed after 3 retries in 10.3s
  cause: Failed to fetch: https://ann:hunter2@index.example/simple/tflite-runtime/
  cause: error sending request for url (https://index.example/simple/tflite-runtime/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)
"""
REFUSED_OLD = """error: Failed to fetch: `https://index.example/simple/tflite-runtime/`
  Caused by: Request failed after 3 retries
  Caused by: error sending request for url (https://index.example/simple/tflite-runtime/)
  Caused by: client error (Connect)
  Caused by: Connection refused (os error 111)
"""
DISK_FULL = """error: Failed to install: numpy-1.26.4-cp311-cp311-manylinux_2_17_x86_64.whl (numpy==1.26.4)
  cause: failed to copy file from /a to /b
  cause: No space left on device (os error 28)
"""


def request(target: WheelTarget = UV_TARGET) -> WheelRequest:
    contents = Contents("tflite-runtime==2.14.0", ("numpy<2",))
    return WheelRequest(contents, target, "Python 3.12 (x86_64, glibc 2.36)", {"numpy": "1.26.4"})


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (
            NO_TAG,
            "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.36); "
            "there are some for cp38, cp39, cp310, cp311",
        ),
        (
            NO_TAG_BOXED,
            "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.36); "
            "there are some for cp38, cp39, cp310, cp311",
        ),
        (NO_PLATFORM, "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.36)"),
        (
            NO_DEPENDENCY,
            "no wheel of numpy 1.26.4, which tflite-runtime 2.14.0 needs, for Python 3.12 (x86_64, glibc 2.36)",
        ),
        (NO_PYTHON, "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.36)"),
    ],
)
def test_uv_shows_that_there_is_no_wheel(stderr: str, reason: str) -> None:
    failure = uv_failure(request(), 1, stderr)

    assert isinstance(failure, NoWheel)
    assert str(failure) == reason


@pytest.mark.parametrize(
    ("exit_code", "stderr", "message"),
    [
        (1, NO_VERSION, "the package index has no tflite-runtime 2.14.0"),
        (1, NO_VERSION_BOXED, "the package index has no tflite-runtime 2.14.0"),
        (1, UNKNOWN_PACKAGE, "the package index does not have this package"),
        (1, FORBIDDEN, "returned a 403 Forbidden error"),
        (1, UNAUTHORISED, "lack of valid authentication credentials (401 Unauthorized)"),
        (1, OFFLINE_BOXED, "uv is set to work offline"),
        (2, REFUSED, "Request failed after 3 retries in 10.3s: Failed to fetch: https://index.example"),
        (2, REFUSED, "Connection refused (os error 111)"),
        (2, REFUSED_OLD, "Connection refused (os error 111)"),
        (2, DISK_FULL, "No space left on device"),
        (-9, "", "uv ended with exit code -9"),
    ],
)
def test_uv_could_not_tell(exit_code: int, stderr: str, message: str) -> None:
    failure = uv_failure(request(), exit_code, stderr)

    assert isinstance(failure, BundleError)
    assert message in str(failure)
    assert failure.hint
    assert "hunter2" not in f"{failure} {failure.hint}"


def test_a_full_disk_gets_its_own_hint() -> None:
    assert uv_failure(request(), 2, DISK_FULL).args[1] == "free some space in the cache folder"


PIP_SKIPPED = """Fetching project page and analyzing links: https://index.example/simple/tflite-runtime/
https://index.example:443 "GET /simple/tflite-runtime/ HTTP/1.1" 200 30199
  Skipping link: none of the wheel's tags (cp310-cp310-manylinux2014_aarch64) are compatible (run pip debug --verbose to \
show compatible tags): https://files.example/tflite_runtime-2.14.0-cp310-cp310-manylinux2014_aarch64.whl
"""
PIP_NONE = """Given no hashes to check 0 links for project 'tflite-runtime': discarding no candidates
ERROR: Could not find a version that satisfies the requirement tflite-runtime==2.14.0 (from versions: none)
ERROR: No matching distribution found for tflite-runtime==2.14.0
"""
PIP_REFUSED = """Starting new HTTPS connection (2): index.example
Could not fetch URL https://index.example/simple/tflite-runtime/: connection error: [Errno 111] Connection refused - \
skipping
Skipping link: not a file: https://index.example/simple/tflite-runtime/
"""
PIP_FORBIDDEN = """Could not fetch URL https://ann:****@index.example/simple/tflite-runtime/: 403 Client Error: \
Forbidden for url: https://index.example/simple/tflite-runtime/ - skipping
"""
PIP_NOT_FOUND = """Could not fetch URL https://index.example/simple/tflite-runtime/: 404 Client Error: \
Not Found for url: https://index.example/simple/tflite-runtime/ - skipping
Skipping link: not a file: https://index.example/simple/tflite-runtime/
"""
PIP_PORTAL = """Fetched page https://index.example/simple/tflite-runtime/ as text/html
Skipping link: not a file: https://index.example/simple/tflite-runtime/
"""


@pytest.mark.parametrize("output", [PIP_SKIPPED + PIP_NONE, PIP_NOT_FOUND + PIP_SKIPPED + PIP_NONE])
def test_pip_shows_that_there_is_no_wheel(output: str) -> None:
    failure = pip_failure(request(PIP_TARGET), output)

    assert isinstance(failure, NoWheel)
    assert str(failure) == "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.36)"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (PIP_REFUSED + PIP_NONE, "connection error: [Errno 111] Connection refused"),
        (PIP_REFUSED + PIP_SKIPPED + PIP_NONE, "Connection refused"),
        (PIP_FORBIDDEN + PIP_NONE, "403 Client Error"),
        (PIP_NOT_FOUND + PIP_NONE, "the package index does not have this package"),
        (PIP_PORTAL + PIP_NONE, "the package index does not have this package"),
        (PIP_SKIPPED.replace("2.14.0", "2.13.0") + PIP_NONE, "the package index has no tflite-runtime 2.14.0"),
        ("ERROR: Could not install packages: [Errno 28] No space left on device\n", "No space left on device"),
        ("", "pip failed without saying why"),
    ],
)
def test_pip_could_not_tell(output: str, message: str) -> None:
    failure = pip_failure(request(PIP_TARGET), output)

    assert isinstance(failure, BundleError)
    assert message in str(failure)
    assert failure.hint


def test_uv_is_told_the_platform_the_python_and_the_bounds() -> None:
    command = uv_command(request(), Path("/work/tree"), Path("/work/constraints.txt"))

    text = " ".join(command)
    assert "--python-platform x86_64-manylinux_2_36 --python-version 3.12" in text
    assert "--only-binary :all: --target /work/tree --constraint /work/constraints.txt" in text
    assert command[-2:] == ["--", "tflite-runtime==2.14.0"]


def test_pip_is_told_every_tag_and_to_leave_dependencies_alone() -> None:
    command = pip_command(request(PIP_TARGET), Path("/work/tree"))

    text = " ".join(command)
    assert command[0] == sys.executable
    assert "--platform manylinux2014_armv7l --platform linux_armv7l" in text
    assert "--python-version 3.9 --only-binary=:all: --no-deps" in text
