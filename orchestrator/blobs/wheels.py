"""Install wheels for another machine into a folder, and tell "no wheel exists" from "the index could not be asked"."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

from orchestrator.blobs.packages import Contents
from orchestrator.blobs.targets import Installer, NoWheel, WheelTarget
from orchestrator.domain.errors import BundleError, NoSuchRelease

_INDEX_HINT = {
    Installer.UV: "check the network and uv's settings (UV_DEFAULT_INDEX, uv.toml); bundles made before need neither",
    Installer.PIP: "check the network and pip's settings (PIP_INDEX_URL, pip.conf); bundles made before need neither",
}
_VERSION_HINT = "check the version that the sweep names, and that the package index is complete"

_BOX = re.compile(r"[×│╰╭├─▶]+")
_CREDENTIALS = re.compile(r"//[^/@\s]+@")
# uv and pip tell their reasons in words alone.
_NO_WHEELS_OF = re.compile(r"Because ([\w.-]+)[=>]=(\S+) has no (?:usable )?wheels", re.IGNORECASE)
_AVAILABLE_TAGS = re.compile(r"only found wheels for `([\w.-]+)` \(v\S+\) with the following [\w ]+ tags?: ([`\w, ]+)")
_PIP_FETCH_FAILED = re.compile(r"Could not fetch URL \S+ (.+?) - skipping")
_NO_SPACE = "No space left on device"
_REASON_MAX = 400
_OVERRIDES = "overrides.txt"


_CHOOSES = frozenset(
    {
        *("UV_BUILD_CONSTRAINT", "UV_CONSTRAINT", "UV_EXCLUDE", "UV_EXCLUDE_NEWER", "UV_EXCLUDE_NEWER_PACKAGE"),
        *("UV_FORK_STRATEGY", "UV_NO_BINARY", "UV_NO_BINARY_PACKAGE", "UV_NO_BUILD", "UV_OVERRIDE", "UV_PRERELEASE"),
        *("UV_REQUIRE_HASHES", "UV_RESOLUTION", "UV_TORCH_BACKEND"),
        *("PIP_CONSTRAINT", "PIP_DRY_RUN", "PIP_EDITABLE", "PIP_NO_BINARY", "PIP_PRE", "PIP_PREFIX", "PIP_REQUIREMENT"),
        *("PIP_REQUIRE_HASHES", "PIP_ROOT"),
    }
)
"""Variables of people's own projects. Where packages come from is the user's to say, and stays."""


@dataclass(frozen=True, slots=True)
class WheelRequest:
    """Ask for the packages of a runtime for one platform.

    `where` is the platform in words. `pins` maps package names to versions chosen by an earlier resolution.
    """

    contents: Contents
    target: WheelTarget
    where: str
    pins: Mapping[str, str]


def install_wheels(request: WheelRequest, folder: Path) -> None:
    """Install the requested packages into the subfolder `tree` of `folder`, an absolute path.

    Raise NoWheel if the index proves the absence of a fitting wheel. Raise NoSuchRelease if the index lacks the
    version, and BundleError if the index could not be asked.
    """
    tree = folder / "tree"
    constraints = folder / "constraints.txt"
    pins = [f"{name}=={version}" for name, version in sorted(request.pins.items())]
    constraints.write_text("\n".join([*request.contents.constraints, *pins, ""]), encoding="utf-8")
    # uv has no word for "leave this package out": a requirement that holds nowhere is the way.
    nowhere = "".join(f"{name}; python_version < '3'\n" for name in request.contents.replaced)
    (folder / _OVERRIDES).write_text(nowhere, encoding="utf-8")
    if request.target.installer is Installer.UV:
        done = _run(uv_command(request, tree, constraints), {})
        if done.returncode:
            raise uv_failure(request, done.returncode, done.stderr)
    else:
        # A `user = true` of pip's settings contradicts --target.
        done = _run(pip_command(request, tree), {"PIP_USER": "0"})
        if done.returncode:
            raise pip_failure(request, done.stdout + done.stderr)


def uv_command(request: WheelRequest, tree: Path, constraints: Path) -> list[str]:
    """Return uv's argument list."""
    target = request.target
    return [
        # uv does not run without an interpreter. Platform and version below override ours.
        *(_find_uv(), "pip", "install", "--python", sys.executable, "--no-python-downloads"),
        *("--python-platform", target.platforms[0], "--python-version", target.python),
        *("--only-binary", ":all:", "--target", str(tree), "--constraint", str(constraints)),
        *(("--override", str(constraints.with_name(_OVERRIDES))) if request.contents.replaced else ()),
        *("--link-mode", "hardlink", "--color", "never", "--no-progress", "--", request.contents.requirement),
        *request.contents.beside,
    ]


def pip_command(request: WheelRequest, tree: Path) -> list[str]:
    """Return pip's argument list."""
    target = request.target
    return [
        # -vv, because only there pip says whether the index answered. -P, because cwd must not shadow pip.
        *(sys.executable, "-P", "-m", "pip", "install", "-vv", "--no-input", "--disable-pip-version-check"),
        *(word for tag in target.platforms for word in ("--platform", tag)),
        *("--implementation", "cp", "--python-version", target.python, "--only-binary=:all:", "--no-deps"),
        *("--no-compile", "--no-color", "--progress-bar", "off", "--target", str(tree), request.contents.requirement),
        *request.contents.beside,
    ]


def uv_failure(request: WheelRequest, exit_code: int, stderr: str) -> NoWheel | BundleError:
    """Return the meaning of a failure of uv.

    uv exits with 1 if no solution exists, and with 2 if uv could not look. The text decides, because uv's "no solution"
    also covers a package unknown to the index and a cache without the package.
    """
    text = " ".join(_BOX.sub(" ", stderr).split())
    contents = request.contents
    if "no solution found" not in text.lower():
        return _unknown(request, _chain(stderr) or f"uv ended with exit code {exit_code}")
    if "network was disabled" in text or "not found in the cache" in text:
        return _unknown(request, "uv is set to work offline and has not cached the packages", _INDEX_HINT[Installer.UV])
    if "was not found in the package registry" in text:
        refusal = re.search(r"hint: (An index .*?)(?= hint: |$)", text)
        return _unknown(request, refusal.group(1) if refusal else "the package index does not have this package")
    if f"there is no version of {contents.requirement}" in text:
        return _no_such_version(request)
    return NoWheel(_why_none(request, text))


def pip_failure(request: WheelRequest, output: str) -> NoWheel | BundleError:
    """Return the meaning of a failure of pip.

    pip says "no matching distribution" even if no index could be reached. The verbose output tells the two apart.
    """
    contents = request.contents
    if "No matching distribution found" not in output:
        lines = [line.removeprefix("ERROR: ") for line in output.splitlines() if line.strip()]
        last = lines[-1] if lines else "pip failed without saying why"
        return _unknown(request, _NO_SPACE if _NO_SPACE in output else last)
    # A 404 is an answer: an index among several lacks the package.
    failures = [found for found in _PIP_FETCH_FAILED.findall(output) if "404 Client Error" not in found]
    if failures:
        return _unknown(request, failures[-1])
    stem = re.escape(contents.package).replace(r"\-", "[-_.]")
    if not re.search(rf"link\b.*\b{stem}-\d", output, re.IGNORECASE):
        return _unknown(request, "the package index does not have this package")
    if not re.search(rf"link\b.*\b{stem}-{re.escape(contents.version)}[-.]", output, re.IGNORECASE):
        return _no_such_version(request)
    return NoWheel(f"no wheel of {_title(contents)} for {request.where}")


def _why_none(request: WheelRequest, text: str) -> str:
    """Return in one line the reason why no wheels fit, from uv's long explanation."""
    title = _title(request.contents)
    blocked = _NO_WHEELS_OF.search(text)
    if blocked and blocked.group(1) != request.contents.package:
        package, version = blocked.groups()
        return f"no wheel of {package} {version}, which {title} needs, for {request.where}"
    if not blocked and "does not satisfy Python" not in text:
        explained = text.partition("Because ")[2].partition(", we can conclude")[0]
        cause = (explained or "its requirements conflict")[:_REASON_MAX]
        return f"{title} cannot be installed for {request.where}: {cause}"
    tags = _AVAILABLE_TAGS.search(text)
    only = f"; there are some for {tags.group(2).replace('`', '').strip()}" if tags else ""
    return f"no wheel of {title} for {request.where}{only}"


def _undecided(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without what would choose other versions than sweep and runtime do."""
    return {name: value for name, value in environment.items() if name not in _CHOOSES}


def _run(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run an installer in the root folder, where no project's settings apply but the user's do."""
    try:
        return subprocess.run(
            command,
            cwd="/",
            env={**_undecided(os.environ), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise BundleError(f"cannot start {command[0]}: {error.strerror}") from error


def _find_uv() -> str:
    try:
        return uv.find_uv_bin()
    except FileNotFoundError as error:
        raise BundleError(
            "uv is installed without its program", hint="reinstall it: pip install --force-reinstall uv"
        ) from error


def _unknown(request: WheelRequest, reason: str, hint: str | None = None) -> BundleError:
    if _NO_SPACE in reason:
        hint = "free some space in the cache folder"
    # An index URL may carry a user and a password, and errors end up in terminals and logs.
    reason = _CREDENTIALS.sub("//", reason).rstrip(".")[:_REASON_MAX]
    return BundleError(
        f"cannot resolve {request.contents.requirement} for {request.where}: {reason}",
        hint=hint or _INDEX_HINT[request.target.installer],
    )


def _no_such_version(request: WheelRequest) -> NoSuchRelease:
    return NoSuchRelease(f"the package index has no {_title(request.contents)}", hint=_VERSION_HINT)


def _title(contents: Contents) -> str:
    return f"{contents.package} {contents.version}"


def _chain(stderr: str) -> str:
    """Return uv's first error with its first and its innermost cause, in one line."""
    lines = [line.strip() for line in stderr.splitlines()]
    errors = [line.partition(":")[2].strip() for line in lines if line.lower().startswith("error:")]
    causes = [line.partition(":")[2].strip() for line in lines if line.lower().startswith(("cause:", "caused by:"))]
    return ": ".join([*errors[:1], *causes[:1], *causes[1:][-1:]])
