"""What uv 0.8 (the boxed ones), uv 0.13 and pip 26 printed, and what it means; hosts and folders are replaced."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.blobs.packages import Contents
from orchestrator.blobs.targets import Installer, NoWheel, WheelTarget
from orchestrator.blobs.wheels import WheelRequest, pip_command, pip_failure, uv_command, uv_failure
from orchestrator.domain.errors import BundleError

UV_TARGET = WheelTarget(Installer.UV, "x86_64", ("x86_64-manylinux_2_36",), "3.12")
PIP_TARGET = WheelTarget(Installer.PIP, "armv7l", ("manylinux2014_armv7l", "linux_armv7l"), "3.9", ("numpy",))

NO_TAG = """Using CPython 3.11.7 interpreter at: /usr/bin/python3
error: No solution found when resolving dependencies
  cause: Because tflite-runtime==2.14.0 has no wheels with a matching Python ABI tag (e.g., `cp312`) and you require \
tflite-runtime==2.14.0, we can conclude that your requirements are unsatisfiable.

hint: You require CPython 3.12 (`cp312`), but we only found wheels for `tflite-runtime` (v2.14.0) with the following \
Python ABI tags: `cp38`, `cp39`, `cp310`, `cp311`
"""
NO_TAG_BOXED = """Using CPython 3.11.7 interpreter at: /usr/bin/python3
  × No solution found when resolving dependencies:
  ╰─▶ Because tflite-runtime==2.14.0 has no wheels with a matching Python
      ABI tag (e.g., `cp312`) and you require tflite-runtime==2.14.0, we can
      conclude that your requirements are unsatisfiable.

      hint: You require CPython 3.12 (`cp312`), but we only found wheels for
      `tflite-runtime` (v2.14.0) with the following Python ABI tags: `cp38`,
      `cp39`, `cp310`, `cp311`
"""
NO_PLATFORM = """error: No solution found when resolving dependencies
  cause: Because ai-edge-litert==2.3.0 has no wheels with a matching platform tag (e.g., `manylinux_2_17_x86_64`) and \
you require ai-edge-litert==2.3.0, we can conclude that your requirements are unsatisfiable.

hint: Wheels are available for `ai-edge-litert` (v2.3.0) on the following platforms: `manylinux_2_27_aarch64`, \
`manylinux_2_27_x86_64`, `macosx_12_0_arm64`, `win_amd64`
"""
NO_DEPENDENCY = """error: No solution found when resolving dependencies
  cause: Because numpy==1.26.4 has no usable wheels and ai-edge-litert>=2.3.0 depends on numpy==1.26.4, we can \
conclude that ai-edge-litert>=2.3.0 cannot be used.
         And because you require ai-edge-litert==2.3.0, we can conclude that your requirements are unsatisfiable.

hint: Wheels are required for `numpy` because building from source is disabled for all packages (i.e., with \
`--no-build`)
"""
NO_DEPENDENCY_BOXED = """
  × No solution found when resolving dependencies:
  ╰─▶ Because numpy==1.26.4 has no usable wheels and ai-edge-litert==2.3.0
      depends on numpy==1.26.4, we can conclude that ai-edge-litert==2.3.0
      cannot be used.
      And because you require ai-edge-litert==2.3.0, we can conclude that your
      requirements are unsatisfiable.
"""
CONFLICT = """error: No solution found when resolving dependencies
  cause: Because ai-edge-litert>=2.3.0 depends on numpy>=1.23.2 and numpy<1.20, we can conclude that \
ai-edge-litert>=2.3.0 cannot be used.
         And because you require ai-edge-litert==2.3.0, we can conclude that your requirements are unsatisfiable.
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
REFUSED = """Using CPython 3.11.7 interpreter at: /usr/bin/python3
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
DISK_FULL = """Resolved 2 packages in 222ms
warning: Failed to hardlink files; falling back to full copy. This may lead to degraded performance.
error: Failed to install: numpy-2.4.6-cp311-cp311-manylinux_2_27_x86_64.whl (numpy==2.4.6)
  cause: Failed to copy to `/small/tree/numpy.libs/libscipy_openblas64_-32a4b2a6.so`
  cause: failed to copy file from /cache/libscipy_openblas64_-32a4b2a6.so to /small/tree/numpy.libs/.tmpFQ9reC: No \
space left on device (os error 28)
"""
PC = "Python 3.12 (x86_64, glibc 2.36)"


def request(target: WheelTarget = UV_TARGET, requirement: str = "tflite-runtime==2.14.0") -> WheelRequest:
    return WheelRequest(Contents(requirement, ("numpy<2",)), target, PC, {"numpy": "1.26.4"})


@pytest.mark.parametrize("stderr", [NO_TAG, NO_TAG_BOXED])
def test_uv_shows_that_there_is_no_wheel_for_this_python(stderr: str) -> None:
    failure = uv_failure(request(), 1, stderr)

    assert isinstance(failure, NoWheel)
    assert str(failure) == f"no wheel of tflite-runtime 2.14.0 for {PC}; there are some for cp38, cp39, cp310, cp311"


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        (NO_PLATFORM, f"no wheel of ai-edge-litert 2.3.0 for {PC}"),
        (NO_DEPENDENCY, f"no wheel of numpy 1.26.4, which ai-edge-litert 2.3.0 needs, for {PC}"),
        (NO_DEPENDENCY_BOXED, f"no wheel of numpy 1.26.4, which ai-edge-litert 2.3.0 needs, for {PC}"),
        (
            CONFLICT,
            f"ai-edge-litert 2.3.0 cannot be installed for {PC}: " + CONFLICT.split("Because ")[1].split(", we can")[0],
        ),
    ],
)  # fmt: skip
def test_uv_shows_that_no_wheels_fit(stderr: str, reason: str) -> None:
    failure = uv_failure(request(requirement="ai-edge-litert==2.3.0"), 1, stderr)

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
  Skipping link: none of the wheel's tags (cp310-cp310-manylinux2014_aarch64) are compatible (run pip debug --verbose \
to show compatible tags): https://files.example/tflite_runtime-2.14.0-cp310-cp310-manylinux2014_aarch64.whl
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


PIP_DISK_FULL = """    raise Error(errors)
shutil.Error: [('/a/numpy/__init__.py', '/b/numpy/__init__.py', "[Errno 28] No space left on device: '/a' -> '/b'")]
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
        (PIP_DISK_FULL, "No space left on device"),
        ("", "pip failed without saying why"),
    ],
)
def test_pip_could_not_tell(output: str, message: str) -> None:
    failure = pip_failure(request(PIP_TARGET), output)

    assert isinstance(failure, BundleError)
    assert message in str(failure)
    assert failure.hint


def test_uv_is_told_the_platform_the_python_and_the_bounds() -> None:
    command = uv_command(request(), Path("/bundle/tree"), Path("/bundle/constraints.txt"))

    text = " ".join(command)
    assert "--python-platform x86_64-manylinux_2_36 --python-version 3.12" in text
    assert "--only-binary :all: --target /bundle/tree --constraint /bundle/constraints.txt" in text
    assert command[-2:] == ["--", "tflite-runtime==2.14.0"]


def test_uv_is_told_what_to_leave_out() -> None:
    asked = request()
    contents = replace(asked.contents, replaced=("tensorflow",))
    command = uv_command(replace(asked, contents=contents), Path("/bundle/tree"), Path("/bundle/constraints.txt"))

    assert "--override /bundle/overrides.txt" in " ".join(command)
    assert "--override" not in uv_command(asked, Path("/bundle/tree"), Path("/bundle/constraints.txt"))


def test_pip_is_told_every_tag_and_to_leave_dependencies_alone() -> None:
    command = pip_command(request(PIP_TARGET), Path("/bundle/tree"))

    text = " ".join(command)
    assert command[0] == sys.executable
    assert "--platform manylinux2014_armv7l --platform linux_armv7l" in text
    assert "--python-version 3.9 --only-binary=:all: --no-deps" in text
