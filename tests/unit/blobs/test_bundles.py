import json
import multiprocessing
import os
import threading
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.blobs.bundles import MANIFEST, REFUSAL_SECONDS, UvResolver
from orchestrator.blobs.cache import BlobCache
from orchestrator.blobs.targets import NoWheel
from orchestrator.blobs.wheels import WheelRequest
from orchestrator.domain.errors import BundleError
from orchestrator.domain.facts import Platform
from orchestrator.domain.plan.values import RuntimeOffer
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec

RUNTIME = RuntimeSpec("tflite-runtime==2.14.0", RuntimeSource.BUNDLE, "tflite-runtime", "2.14.0")
PC = Platform("x86_64", (3, 11), (2, 36))


@dataclass
class FakeIndex:
    """Installs made-up wheels; `numpy` is the newest version on offer, `failure` what happens instead."""

    numpy: str = "1.26.4"
    failure: Exception | None = None
    slow_s: float = 0.0
    requests: list[WheelRequest] = field(default_factory=list)

    def __call__(self, request: WheelRequest, folder: Path) -> None:
        self.requests.append(request)
        time.sleep(self.slow_s)
        if self.failure:
            raise self.failure
        write_package(folder / "tree", "tflite_runtime", "2.14.0")
        write_package(folder / "tree", "numpy", request.pins.get("numpy", self.numpy))
        script = folder / "tree/bin/f2py"
        script.parent.mkdir()
        script.write_text(f"#!{folder}/python\n")
        (folder / "tree/.lock").touch()


def write_package(tree: Path, name: str, version: str) -> None:
    info = tree / f"{name}-{version}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text(f"{tree}/bin/f2py,sha256={time.monotonic_ns()},1\n")
    (info / "INSTALLER").write_text("uv")
    (info / "entry_points.txt").write_text("[console_scripts]\n")
    (tree / name).mkdir()
    (tree / name / "__init__.py").write_text(f"__version__ = {version!r}\n")
    (tree / name / "__pycache__").mkdir()
    (tree / name / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(os.urandom(8))


@pytest.fixture
def index() -> FakeIndex:
    return FakeIndex()


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "blobs")


@pytest.fixture
def resolver(cache: BlobCache, index: FakeIndex, tmp_path: Path) -> UvResolver:
    return UvResolver(cache, tmp_path / "bundles", install=index)


def unpacked(cache: BlobCache, offer: RuntimeOffer) -> zipfile.ZipFile:
    assert offer.bundle
    return zipfile.ZipFile(cache.path(offer.bundle))


def manifest(cache: BlobCache, offer: RuntimeOffer) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(unpacked(cache, offer).read(MANIFEST))
    return document


def test_a_bundle_holds_the_packages_and_nothing_of_the_controller(resolver: UvResolver, cache: BlobCache) -> None:
    offer = resolver.offer(RUNTIME, PC)

    assert offer.unavailable is None
    assert offer.bundle
    assert offer.bundle.name == "tflite-runtime-2.14.0-py3.11-x86_64.zip"
    assert unpacked(cache, offer).namelist() == [
        "benchfleet-bundle.json",
        "numpy-1.26.4.dist-info/METADATA",
        "numpy-1.26.4.dist-info/entry_points.txt",
        "numpy/__init__.py",
        "tflite_runtime-2.14.0.dist-info/METADATA",
        "tflite_runtime-2.14.0.dist-info/entry_points.txt",
        "tflite_runtime/__init__.py",
    ]


def test_a_bundle_describes_itself(resolver: UvResolver, cache: BlobCache) -> None:
    document = manifest(cache, resolver.offer(RUNTIME, PC))

    assert document == {
        "format": 1,
        "runtime": "tflite-runtime==2.14.0",
        "requirement": "tflite-runtime==2.14.0",
        "constraints": ["numpy<2"],
        "left_out": [],
        "machine": "x86_64",
        "platforms": ["x86_64-manylinux_2_36"],
        "python": "3.11",
        "packages": {"numpy": "1.26.4", "tflite-runtime": "2.14.0"},
        "from_device": [],
    }


def test_what_the_device_must_bring_is_in_the_manifest(resolver: UvResolver, cache: BlobCache) -> None:
    offer = resolver.offer(RUNTIME, Platform("armv7l", (3, 9), (2, 31)))

    assert manifest(cache, offer)["from_device"] == ["numpy"]


def test_the_same_packages_give_the_same_bundle_on_another_controller(tmp_path: Path, index: FakeIndex) -> None:
    offers = [
        UvResolver(BlobCache(tmp_path / name / "blobs"), tmp_path / name, install=index).offer(RUNTIME, PC)
        for name in ("one", "other")
    ]

    assert offers[0] == offers[1]
    assert len(index.requests) == 2


def test_what_the_bounds_of_the_recipe_say_reaches_the_installer(resolver: UvResolver, index: FakeIndex) -> None:
    resolver.offer(RUNTIME, PC)

    (request,) = index.requests
    assert (request.contents.constraints, request.where) == (("numpy<2",), "Python 3.11 (x86_64, glibc 2.36)")


def test_headers_of_tensorflow_are_left_out(cache: BlobCache, tmp_path: Path) -> None:
    def install(_request: WheelRequest, folder: Path) -> None:
        write_package(folder / "tree", "tensorflow", "2.21.0")
        (folder / "tree/tensorflow/include").mkdir()
        (folder / "tree/tensorflow/include/a.h").touch()

    offer = UvResolver(cache, tmp_path / "bundles", install=install).offer(
        RuntimeSpec("tensorflow==2.21.0", RuntimeSource.BUNDLE, "tensorflow", "2.21.0"), PC
    )

    assert "tensorflow/__init__.py" in unpacked(cache, offer).namelist()
    assert "tensorflow/include/a.h" not in unpacked(cache, offer).namelist()


@pytest.mark.parametrize("source", [RuntimeSource.SYSTEM, RuntimeSource.EXEC])
def test_a_runtime_that_is_not_shipped_is_available_without_a_bundle(
    resolver: UvResolver, index: FakeIndex, source: RuntimeSource
) -> None:
    runtime = RuntimeSpec("system/tflite", source, "tflite")

    assert resolver.offer(runtime, Platform("unknown", (0, 0), None)) == RuntimeOffer(runtime)
    assert index.requests == []


class TestTheAnswerIsRemembered:
    def test_a_second_call_asks_nobody(self, resolver: UvResolver, index: FakeIndex) -> None:
        first = resolver.offer(RUNTIME, PC)
        index.failure = BundleError("no network")

        assert resolver.offer(RUNTIME, PC) == first

    def test_another_process_remembers_too(self, resolver: UvResolver, cache: BlobCache, tmp_path: Path) -> None:
        first = resolver.offer(RUNTIME, PC)
        offline = UvResolver(cache, tmp_path / "bundles", install=FakeIndex(failure=BundleError("no network")))

        assert offline.offer(RUNTIME, PC) == first

    def test_newer_releases_change_nothing(self, resolver: UvResolver, index: FakeIndex) -> None:
        first = resolver.offer(RUNTIME, PC)
        index.numpy = "1.99.0"

        assert resolver.offer(RUNTIME, PC) == first

    def test_a_bundle_lost_from_the_cache_is_made_of_the_same_versions(
        self, resolver: UvResolver, index: FakeIndex, cache: BlobCache
    ) -> None:
        first = resolver.offer(RUNTIME, PC)
        assert first.bundle
        cache.path(first.bundle).unlink()
        index.numpy = "1.99.0"

        assert resolver.offer(RUNTIME, PC) == first
        assert cache.holds(first.bundle)

    def test_versions_that_can_no_longer_be_had_give_way(self, cache: BlobCache, tmp_path: Path) -> None:
        class Withdrawn(FakeIndex):
            def __call__(self, request: WheelRequest, folder: Path) -> None:
                if request.pins:
                    raise NoWheel("withdrawn")
                super().__call__(request, folder)

        first = UvResolver(cache, tmp_path / "bundles", install=FakeIndex()).offer(RUNTIME, PC)
        assert first.bundle
        cache.path(first.bundle).unlink()

        second = UvResolver(cache, tmp_path / "bundles", install=Withdrawn(numpy="1.99.0")).offer(RUNTIME, PC)

        assert manifest(cache, second)["packages"]["numpy"] == "1.99.0"

    def test_devices_for_which_the_same_wheels_fit_share_a_bundle(self, resolver: UvResolver, index: FakeIndex) -> None:
        one = resolver.offer(RUNTIME, Platform("aarch64", (3, 9), (2, 28)))
        other = resolver.offer(RUNTIME, Platform("arm64", (3, 9), (2, 30)))

        assert one.bundle == other.bundle
        assert len(index.requests) == 1

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"bundle": 3, "packages": {}}'])
    def test_a_damaged_answer_is_asked_for_again(
        self, resolver: UvResolver, index: FakeIndex, tmp_path: Path, content: str
    ) -> None:
        first = resolver.offer(RUNTIME, PC)
        (answer,) = (tmp_path / "bundles").glob("*.json")
        answer.write_text(content)

        assert resolver.offer(RUNTIME, PC) == first
        assert len(index.requests) == 2


class TestThereIsNoWheel:
    REASON = "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.41)"
    NEWER = Platform("x86_64", (3, 12), (2, 41))

    @pytest.fixture
    def index(self) -> FakeIndex:
        return FakeIndex(failure=NoWheel(self.REASON))

    def test_the_offer_says_why(self, resolver: UvResolver) -> None:
        assert resolver.offer(RUNTIME, self.NEWER) == RuntimeOffer(RUNTIME, unavailable=self.REASON)

    def test_nobody_is_asked_again_today(self, resolver: UvResolver, index: FakeIndex) -> None:
        resolver.offer(RUNTIME, self.NEWER)
        resolver.offer(RUNTIME, self.NEWER)

        assert len(index.requests) == 1

    def test_the_reason_names_the_device_that_it_is_given_for(self, resolver: UvResolver, index: FakeIndex) -> None:
        resolver.offer(RUNTIME, self.NEWER)
        other = resolver.offer(RUNTIME, Platform("x86_64", (3, 12), (2, 40)))

        assert other.unavailable == self.REASON.replace("2.41", "2.40")
        assert len(index.requests) == 1

    def test_the_next_day_it_may_have_been_published(self, cache: BlobCache, index: FakeIndex, tmp_path: Path) -> None:
        now = [1_000_000.0]
        resolver = UvResolver(cache, tmp_path / "bundles", install=index, clock=lambda: now[0])
        resolver.offer(RUNTIME, self.NEWER)
        now[0] += REFUSAL_SECONDS
        index.failure = None

        assert resolver.offer(RUNTIME, self.NEWER).bundle

    def test_an_old_answer_is_better_than_none(self, cache: BlobCache, index: FakeIndex, tmp_path: Path) -> None:
        now = [1_000_000.0]
        resolver = UvResolver(cache, tmp_path / "bundles", install=index, clock=lambda: now[0])
        resolver.offer(RUNTIME, self.NEWER)
        now[0] += REFUSAL_SECONDS
        index.failure = BundleError("no network")

        assert resolver.offer(RUNTIME, self.NEWER).unavailable == self.REASON

    def test_a_platform_that_nothing_is_made_for_is_not_even_asked_for(
        self, resolver: UvResolver, index: FakeIndex
    ) -> None:
        offer = resolver.offer(RUNTIME, Platform("x86_64", (3, 11), None))

        assert offer.unavailable == "no wheels are published for Python 3.11 (x86_64, no glibc)"
        assert index.requests == []


class TestNobodyCanTell:
    def test_the_error_goes_on_and_is_not_remembered(self, resolver: UvResolver, index: FakeIndex) -> None:
        index.failure = BundleError("no network")
        with pytest.raises(BundleError, match="no network"):
            resolver.offer(RUNTIME, PC)
        index.failure = None

        assert resolver.offer(RUNTIME, PC).bundle

    def test_nothing_half_made_stays(self, resolver: UvResolver, index: FakeIndex, tmp_path: Path) -> None:
        index.failure = BundleError("no network")
        with pytest.raises(BundleError):
            resolver.offer(RUNTIME, PC)

        assert [path.suffix for path in (tmp_path / "bundles").iterdir()] == [".lock"]

    def test_what_a_killed_process_left_is_swept_away(self, resolver: UvResolver, tmp_path: Path) -> None:
        resolver.offer(RUNTIME, PC)
        (answer,) = (tmp_path / "bundles").glob("*.json")
        answer.unlink()
        rest = answer.with_suffix(".building") / "tree"
        rest.mkdir(parents=True)
        (rest / "rubbish").touch()

        assert resolver.offer(RUNTIME, PC).bundle
        assert not rest.exists()

    def test_a_folder_that_cannot_be_made_is_an_error(self, cache: BlobCache, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(BundleError, match="cannot write to"):
            UvResolver(cache, tmp_path / "file" / "bundles", install=FakeIndex()).offer(RUNTIME, PC)


def test_many_threads_that_ask_at_once_get_one_bundle_made_once(cache: BlobCache, tmp_path: Path) -> None:
    index = FakeIndex(slow_s=0.1)
    messages: list[str] = []
    resolver = UvResolver(cache, tmp_path / "bundles", install=index, on_progress=messages.append)
    offers: list[RuntimeOffer] = []

    threads = [threading.Thread(target=lambda: offers.append(resolver.offer(RUNTIME, PC))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(index.requests) == 1
    assert len(offers) == 6
    assert {offer.bundle for offer in offers} == {offers[0].bundle}
    assert any("being made already" in message for message in messages)


def resolve(folder: Path) -> tuple[RuntimeOffer, int]:
    index = FakeIndex(slow_s=0.2)
    offer = UvResolver(BlobCache(folder / "blobs"), folder / "bundles", install=index).offer(RUNTIME, PC)
    return offer, len(index.requests)


@pytest.mark.system  # interpreters that import all of this again: the quick loop asks from threads, above
def test_processes_that_ask_at_once_get_one_bundle_made_once(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        results = pool.map(resolve, [tmp_path, tmp_path], chunksize=1)

    assert results[0][0] == results[1][0]
    assert sum(count for _, count in results) == 1


def test_progress_tells_what_takes_its_time(cache: BlobCache, tmp_path: Path) -> None:
    messages: list[str] = []
    UvResolver(cache, tmp_path / "bundles", install=FakeIndex(), on_progress=messages.append).offer(RUNTIME, PC)

    assert messages == [
        "resolving tflite-runtime==2.14.0 for Python 3.11 (x86_64, glibc 2.36)",
        "packing tflite-runtime-2.14.0-py3.11-x86_64.zip",
        "packed tflite-runtime-2.14.0-py3.11-x86_64.zip: 0 MB",
    ]


def test_a_bundle_of_another_controller_is_the_answer_here(cache: BlobCache, index: FakeIndex, tmp_path: Path) -> None:
    packed = UvResolver(cache, tmp_path / "bundles", install=index).offer(RUNTIME, PC).bundle
    assert packed is not None
    folder = tmp_path / "elsewhere"
    other = UvResolver(BlobCache(folder / "blobs"), folder / "bundles", install=index)
    adopted = other.adopt(RUNTIME, PC, cache.path(packed))
    assert (adopted.sha256, adopted.size) == (packed.sha256, packed.size)
    index.numpy = "1.26.5"
    assert other.offer(RUNTIME, PC).bundle == packed
    assert len(index.requests) == 1, "nothing was resolved anew"
    (folder / "blobs" / packed.sha256[:2] / packed.sha256).unlink()
    assert other.offer(RUNTIME, PC).bundle == packed, "the versions of the packages are known too"


def test_what_is_no_bundle_is_not_taken(resolver: UvResolver, tmp_path: Path) -> None:
    archive = tmp_path / "archive.zip"
    archive.write_bytes(b"no archive")
    with pytest.raises(BundleError, match="is no bundle for x86_64"):
        resolver.adopt(RUNTIME, PC, archive)
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("other", "")
    with pytest.raises(BundleError, match="is no bundle for x86_64"):
        resolver.adopt(RUNTIME, PC, archive)
