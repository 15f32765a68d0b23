"""Real packages from the real index: about 20 s in all, most of it downloads and packing."""

import json
import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from orchestrator.blobs.bundles import MANIFEST, UvResolver
from orchestrator.blobs.cache import BlobCache
from orchestrator.blobs.wheels import WheelRequest
from orchestrator.domain.errors import BundleError
from orchestrator.domain.facts import Platform
from orchestrator.domain.plan.values import RuntimeOffer
from orchestrator.domain.runtime import RuntimeSource, RuntimeSpec

MODEL = Path(__file__).parents[2] / "models/digits/digits-fp32.tflite"
_LIBC = platform.libc_ver()[1].split(".")
HERE = Platform(platform.machine(), sys.version_info[:2], (int(_LIBC[0]), int(_LIBC[1])))

RUN_A_MODEL = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy
from importlib import import_module
interpreter = import_module(sys.argv[2]).Interpreter(model_path=sys.argv[3])
interpreter.allocate_tensors()
(details,) = interpreter.get_input_details()
interpreter.set_tensor(details["index"], numpy.full(details["shape"], 0.5, numpy.float32))
interpreter.invoke()
output = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
assert numpy.__file__.startswith(sys.argv[1]), numpy.__file__
print(round(float(output.sum()), 3))
"""

pytestmark = [pytest.mark.network, pytest.mark.timeout(300)]


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    return BlobCache(tmp_path / "blobs")


@pytest.fixture
def resolver(cache: BlobCache, tmp_path: Path) -> UvResolver:
    return UvResolver(cache, tmp_path / "bundles")


def runtime(label: str) -> RuntimeSpec:
    name, _, version = label.partition("==")
    return RuntimeSpec(label, RuntimeSource.BUNDLE, name, version)


def unpack(cache: BlobCache, offer: RuntimeOffer, folder: Path) -> Path:
    assert offer.bundle, offer.unavailable
    with zipfile.ZipFile(cache.path(offer.bundle)) as archive:
        archive.extractall(folder)
    return folder


def machine_of(library: Path) -> int:
    """The ELF machine number of a shared library."""
    return int.from_bytes(library.read_bytes()[18:20], "little")


@pytest.mark.parametrize(
    ("label", "module"),
    [
        pytest.param(
            "tflite-runtime==2.14.0",
            "tflite_runtime.interpreter",
            marks=pytest.mark.skipif(HERE.python > (3, 11), reason="tflite-runtime has no wheels for this Python"),
        ),
        ("ai-edge-litert==2.3.0", "ai_edge_litert.interpreter"),
    ],
)
def test_a_bundle_for_this_machine_runs_a_model_with_nothing_else(
    resolver: UvResolver, cache: BlobCache, tmp_path: Path, label: str, module: str
) -> None:
    bundle = unpack(cache, resolver.offer(runtime(label), HERE), tmp_path / "unpacked")

    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN_A_MODEL, str(bundle), module, str(MODEL)], capture_output=True, text=True
    )

    assert done.stdout.strip() == "1.0", done.stderr


@pytest.mark.parametrize(
    ("label", "device", "library", "elf_machine", "packages"),
    [
        pytest.param(
            "tflite-runtime==2.14.0",
            Platform("aarch64", (3, 11), (2, 36)),
            "tflite_runtime/*.so",
            183,
            {"tflite-runtime": "2.14.0", "numpy": "1."},
            id="Raspberry Pi OS Bookworm, 64 bit",
        ),
        pytest.param(
            "tflite-runtime==2.11.0",
            Platform("aarch64", (3, 7), (2, 28)),
            "tflite_runtime/*.so",
            183,
            {"tflite-runtime": "2.11.0", "numpy": "1.21.6"},
            id="Coral Mendel",
        ),
        pytest.param(
            "tflite-runtime==2.13.0",
            Platform("armv7l", (3, 9), (2, 31)),
            "tflite_runtime/*.so",
            40,
            {"tflite-runtime": "2.13.0"},
            id="Raspberry Pi OS Bullseye, 32 bit",
        ),
        pytest.param(
            "tflite-runtime==2.13.0",
            Platform("aarch64", (3, 9), (2, 31)),
            "tflite_runtime/*.so",
            183,
            {"tflite-runtime": "2.13.0", "numpy": "1."},
            id="Raspberry Pi OS Bullseye, 64 bit",
        ),
        pytest.param(
            "tflite-runtime==2.14.0",
            Platform("armv7l", (3, 11), (2, 36)),
            "tflite_runtime/*.so",
            40,
            {"tflite-runtime": "2.14.0"},
            id="Raspberry Pi OS Bookworm, 32 bit",
        ),
        pytest.param(
            "tflite-runtime==2.14.0",
            Platform("aarch64", (3, 10), (2, 35)),
            "tflite_runtime/*.so",
            183,
            {"tflite-runtime": "2.14.0", "numpy": "1."},
            id="JetPack 6",
        ),
    ],
)
def test_a_bundle_for_another_machine_holds_that_machines_libraries(
    resolver: UvResolver,
    cache: BlobCache,
    tmp_path: Path,
    label: str,
    device: Platform,
    library: str,
    elf_machine: int,
    packages: dict[str, str],
) -> None:
    bundle = unpack(cache, resolver.offer(runtime(label), device), tmp_path / "unpacked")

    libraries = list(bundle.glob(library))
    assert libraries
    assert {machine_of(found) for found in libraries} == {elf_machine}
    manifest = json.loads((bundle / MANIFEST).read_text())
    assert manifest["packages"].keys() == packages.keys()
    assert all(manifest["packages"][name].startswith(version) for name, version in packages.items())


@pytest.mark.parametrize(
    ("label", "device"),
    [
        pytest.param("ai-edge-litert==2.1.0", Platform("aarch64", (3, 9), (2, 31)), id="litert, Bullseye, 64 bit"),
        pytest.param("onnxruntime==1.19.2", Platform("aarch64", (3, 9), (2, 31)), id="onnxruntime, Bullseye, 64 bit"),
        pytest.param("onnxruntime==1.14.1", Platform("aarch64", (3, 7), (2, 28)), id="onnxruntime, Coral Mendel"),
        pytest.param("onnxruntime==1.23.2", Platform("aarch64", (3, 10), (2, 35)), id="onnxruntime, JetPack 6"),
    ],
)
def test_the_newest_release_for_a_board_is_had_there(
    resolver: UvResolver, cache: BlobCache, tmp_path: Path, label: str, device: Platform
) -> None:
    bundle = unpack(cache, resolver.offer(runtime(label), device), tmp_path / "unpacked")

    name, _, version = label.partition("==")
    assert json.loads((bundle / MANIFEST).read_text())["packages"][name] == version
    libraries = list(bundle.glob(f"{name.replace('-', '_')}/**/*.so*"))
    assert {machine_of(found) for found in libraries if found.read_bytes()[:4] == b"\x7fELF"} == {183}


@pytest.mark.parametrize(
    ("label", "device", "reason"),
    [
        (
            "tflite-runtime==2.14.0",
            Platform("x86_64", (3, 12), (2, 36)),
            "no wheel of tflite-runtime 2.14.0 for Python 3.12 (x86_64, glibc 2.36)",
        ),
        (
            "tflite-runtime==2.14.0",
            Platform("armv7l", (3, 12), (2, 39)),
            "no wheel of tflite-runtime 2.14.0 for Python 3.12 (armv7l, glibc 2.39)",
        ),
        (
            "ai-edge-litert==2.3.0",
            Platform("aarch64", (3, 9), (2, 31)),
            "no wheel of ai-edge-litert 2.3.0 for Python 3.9 (aarch64, glibc 2.31); there are some for cp310",
        ),
    ],
)
def test_a_platform_without_wheels_is_told_why(resolver: UvResolver, label: str, device: Platform, reason: str) -> None:
    offer = resolver.offer(runtime(label), device)

    assert offer.bundle is None
    assert offer.unavailable
    assert offer.unavailable.startswith(reason)


@pytest.mark.parametrize("machine", ["x86_64", "armv7l"])
def test_a_version_that_was_never_published_is_an_error(resolver: UvResolver, machine: str) -> None:
    with pytest.raises(BundleError, match=r"the package index has no tflite-runtime 2\.999\.0"):
        resolver.offer(runtime("tflite-runtime==2.999.0"), Platform(machine, (3, 9), (2, 31)))


@pytest.mark.parametrize("machine", ["x86_64", "armv7l"])
def test_an_index_that_does_not_answer_is_an_error_that_says_so(
    resolver: UvResolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, machine: str
) -> None:
    nobody = "http://127.0.0.1:9/simple"
    for name, value in {
        "UV_DEFAULT_INDEX": nobody,
        "UV_HTTP_RETRIES": "0",
        "UV_CACHE_DIR": str(tmp_path / "uv"),
        "PIP_INDEX_URL": nobody,
        "PIP_RETRIES": "0",
        "PIP_CONFIG_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)

    with pytest.raises(BundleError, match=r"cannot resolve tflite-runtime==2\.13\.0 .*refused") as caught:
        resolver.offer(runtime("tflite-runtime==2.13.0"), Platform(machine, (3, 9), (2, 31)))
    assert "check the network" in str(caught.value.hint)


def test_the_second_time_nobody_is_asked(resolver: UvResolver, cache: BlobCache, tmp_path: Path) -> None:
    def fail(_request: WheelRequest, _folder: Path) -> None:
        pytest.fail("an installer was started")

    device = Platform("armv7l", (3, 9), (2, 31))
    first = resolver.offer(runtime("tflite-runtime==2.13.0"), device)

    assert (
        UvResolver(cache, tmp_path / "bundles", install=fail).offer(runtime("tflite-runtime==2.13.0"), device) == first
    )
