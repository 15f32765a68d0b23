"""Build runtime bundles: the unpacked wheels of a pinned runtime for one platform, in one reproducible archive."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from orchestrator.blobs.archive import FORMAT_VERSION, Member, members_of, write_archive
from orchestrator.blobs.cache import BlobCache
from orchestrator.blobs.packages import Contents, contents_of
from orchestrator.blobs.targets import NoWheel, WheelTarget, machine_of, target_of, words_for
from orchestrator.blobs.wheels import WheelRequest, install_wheels
from orchestrator.domain.blob import Blob, BlobKind
from orchestrator.domain.errors import BundleError
from orchestrator.domain.facts import Platform
from orchestrator.domain.plan.values import RuntimeOffer
from orchestrator.domain.runtime import RuntimeSpec

MANIFEST = "benchfleet-bundle.json"
"""The member of every bundle with a description of the contents."""

REFUSAL_SECONDS = 24 * 3600
"""Believe the answer "there is no wheel" for this long. A wheel may still be published for an old version."""

_MACHINE_DEPENDENT = frozenset(
    {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"}
)

Install = Callable[[WheelRequest, Path], None]


@dataclass(frozen=True, slots=True)
class _Known:
    """Hold an earlier answer: a bundle and the versions in the bundle, or the reason why there is none.

    `where` is the platform of the question, in words. Platforms with the same fitting wheels share the answer.
    """

    bundle: Blob | None
    packages: Mapping[str, str]
    unavailable: str | None
    where: str
    asked_unix_s: float

    def unavailable_for(self, where: str) -> str | None:
        """Return the reason in the words of another platform with the same answer."""
        return self.unavailable.replace(self.where, where) if self.unavailable else None


class UvResolver:
    """Resolve runtimes by uv (pip on 32-bit Arm), once for each runtime and platform, and remember the answers.

    `directory` holds one file per answer. An answer pins versions: a runtime keeps the versions of the first resolution
    on this controller, whatever is published later. A bundle lost from the cache is built of the same versions again.
    The second time an answer needs neither a network nor a subprocess. Any number of threads and processes may ask at
    once. One of them builds the bundle while the others wait.
    """

    def __init__(
        self,
        cache: BlobCache,
        directory: Path,
        *,
        on_progress: Callable[[str], None] | None = None,
        install: Install = install_wheels,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._cache = cache
        self._directory = directory.absolute()
        self._progress = on_progress or (lambda _message: None)
        self._install = install
        self._clock = clock

    def offer(self, runtime: RuntimeSpec, platform: Platform) -> RuntimeOffer:
        """Return the bundle, or the reason why the platform cannot have one. See `blobs.base.RuntimeResolver`."""
        if runtime.bundled is None:
            return RuntimeOffer(runtime)
        contents = contents_of(runtime, machine_of(platform))
        try:
            target = target_of(platform)
        except NoWheel as reason:
            return RuntimeOffer(runtime, unavailable=str(reason))
        try:
            order = _Order(runtime, contents, target, words_for(platform))
            found = self._find(order)
        except OSError as error:
            raise BundleError(f"cannot write to {self._directory}: {error.strerror}") from error
        return RuntimeOffer(runtime, bundle=found.bundle, unavailable=found.unavailable_for(order.where))

    def adopt(self, runtime: RuntimeSpec, platform: Platform, archive: Path) -> Blob:
        """Keep a bundle as the answer for a runtime on a platform. See `blobs.base.BundleTaker`."""
        try:
            target = target_of(platform)
            with zipfile.ZipFile(archive) as opened:
                packages = json.loads(opened.read(MANIFEST))["packages"]
        except (NoWheel, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise BundleError(f"{runtime.label}: {archive} is no bundle for {platform}: {error}") from None
        order = _Order(runtime, contents_of(runtime, machine_of(platform)), target, words_for(platform))
        bundle = self._cache.add(archive, BlobKind.BUNDLE, order.bundle_name)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remember(order, _Known(bundle, packages, None, order.where, self._clock()))
        return bundle

    def _find(self, order: _Order) -> _Known:
        known = self._recall(order)
        if known and self._still_good(known):
            return known
        with self._alone_with(order):
            # Another process may have answered while we waited for the lock.
            known = self._recall(order)
            if known and self._still_good(known):
                return known
            found = self._ask(order, known)
            self._remember(order, found)
            return found

    def _still_good(self, known: _Known) -> bool:
        if known.bundle:
            return self._cache.holds(known.bundle)
        return 0 <= self._clock() - known.asked_unix_s < REFUSAL_SECONDS

    def _ask(self, order: _Order, known: _Known | None) -> _Known:
        """Resolve an order, with the versions of the last answer if they can still be had."""
        pins = known.packages if known else {}
        try:
            return self._build(order, pins)
        except NoWheel as reason:
            if pins:
                # A pinned version was withdrawn from the index. Resolve freely rather than refuse the runtime.
                return self._ask(order, None)
            return _Known(None, {}, str(reason), order.where, self._clock())
        except BundleError:
            if known and known.unavailable:
                # The index cannot be asked now. An outdated "no wheel" is better than no answer.
                return known
            raise

    def _build(self, order: _Order, pins: Mapping[str, str]) -> _Known:
        folder = self._file(order, ".building")
        shutil.rmtree(folder, ignore_errors=True)  # left by a process that was killed
        folder.mkdir()
        try:
            if order.contents.note:
                self._progress(order.contents.note)
            self._progress(f"resolving {order.contents.requirement} for {order.where}")
            self._install(WheelRequest(order.contents, order.target, order.where, pins), folder)
            tree = folder / "tree"
            packages = _packages_in(tree)
            manifest = Member(MANIFEST, _manifest(order, packages))
            self._progress(f"packing {order.bundle_name}")
            archive = folder / order.bundle_name
            with archive.open("wb") as stream:
                write_archive(stream, [manifest, *members_of(tree, _keeper(order.contents.left_out))])
                stream.flush()
                os.fsync(stream.fileno())
            bundle = self._cache.adopt(archive, BlobKind.BUNDLE)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        self._progress(f"packed {bundle.name}: {bundle.size / 1e6:.0f} MB")
        return _Known(bundle, packages, None, order.where, self._clock())

    def _recall(self, order: _Order) -> _Known | None:
        try:
            return _known_from(json.loads(self._file(order, ".json").read_bytes()))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None

    def _remember(self, order: _Order, known: _Known) -> None:
        document = {"order": order.document, **asdict(known)}
        file = self._file(order, ".json")
        incoming = file.with_suffix(".json.incoming")  # a fixed name is safe, because the lock allows one writer
        incoming.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        incoming.replace(file)

    @contextmanager
    def _alone_with(self, order: _Order) -> Iterator[None]:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # may be confidential
        with self._file(order, ".lock").open("wb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._progress(f"waiting for {order.bundle_name}, which is being made already")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _file(self, order: _Order, suffix: str) -> Path:
        return self._directory / f"{order.name}-{order.key}{suffix}"


@dataclass(frozen=True, slots=True)
class _Order:
    """Describe a bundle to get. Two orders have the same `key` exactly if their bundles are the same."""

    runtime: RuntimeSpec
    contents: Contents
    target: WheelTarget
    where: str

    @property
    def document(self) -> dict[str, Any]:
        """Return everything which decides the bundle's contents and packing."""
        return {
            "format": FORMAT_VERSION,
            "requirement": self.contents.requirement,
            # Absent where there is one package alone, as in the answers of earlier releases.
            **({"beside": list(self.contents.beside)} if self.contents.beside else {}),
            **({"replaced": list(self.contents.replaced)} if self.contents.beside and self.contents.replaced else {}),
            "constraints": list(self.contents.constraints),
            "left_out": list(self.contents.left_out),
            "platforms": list(self.target.platforms),
            "python": self.target.python,
        }

    @property
    def key(self) -> str:
        return hashlib.sha256(json.dumps(self.document, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def name(self) -> str:
        """Return the name of the package as sweeps write it."""
        return (self.runtime.bundled or (self.runtime.name,))[0]

    @property
    def bundle_name(self) -> str:
        return f"{self.name}-{self.contents.version}-py{self.target.python}-{self.target.machine}.zip"


def _known_from(document: Mapping[str, Any]) -> _Known:
    found = document["bundle"]
    bundle = Blob(found["sha256"], found["size"], BlobKind(found["kind"]), found["name"]) if found else None
    return _Known(bundle, document["packages"], document["unavailable"], document["where"], document["asked_unix_s"])


def _packages_in(tree: Path) -> dict[str, str]:
    installed = ((found.metadata["Name"], found.version) for found in distributions(path=[str(tree)]))
    return dict(sorted((name.lower().replace("_", "-"), version) for name, version in installed))


def _manifest(order: _Order, packages: Mapping[str, str]) -> bytes:
    """Return the manifest of a bundle. `from_device` names packages to be provided by the device's own Python."""
    document = {
        **order.document,
        "runtime": order.runtime.label,
        "machine": order.target.machine,
        "packages": dict(packages),
        "from_device": list(order.target.from_device),
    }
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"


def _keeper(left_out: tuple[str, ...]) -> Callable[[str], bool]:
    """Return a test for file names worth shipping.

    Scripts are left out, because their first line names an interpreter of the controller. An installer's own notes are
    left out, because they differ from machine to machine. Names, versions, entry points and licences stay.
    """

    def keep(name: str) -> bool:
        folder, _, file = name.rpartition("/")
        if folder.endswith(".dist-info"):
            return file not in _MACHINE_DEPENDENT
        return not name.startswith(("bin/", ".lock", *left_out))

    return keep
