import subprocess

import pytest
import uv

from orchestrator.blobs.targets import Installer, NoWheel, target_of, words_for
from orchestrator.domain.errors import BundleError
from orchestrator.domain.facts import Platform


@pytest.mark.parametrize(
    ("machine", "glibc", "expected"),
    [
        ("x86_64", (2, 36), "x86_64-manylinux_2_36"),
        ("AMD64", (2, 41), "x86_64-manylinux_2_40"),
        ("aarch64", (2, 40), "aarch64-manylinux_2_40"),
        ("arm64", (2, 31), "aarch64-manylinux_2_31"),
        ("aarch64", (2, 30), "aarch64-manylinux_2_28"),
        ("aarch64", (2, 27), "aarch64-manylinux_2_17"),
        ("x86_64", (2, 17), "x86_64-manylinux_2_17"),
    ],
)
def test_the_newest_platform_of_uv_that_the_device_can_run_is_asked_for(
    machine: str, glibc: tuple[int, int], expected: str
) -> None:
    target = target_of(Platform(machine, (3, 11), glibc))

    assert (target.installer, target.platforms, target.python) == (Installer.UV, (expected,), "3.11")
    assert target.from_device == ()


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_uv_knows_every_platform_that_it_is_asked_for(machine: str) -> None:
    usage = subprocess.run(
        [uv.find_uv_bin(), "pip", "install", "--python-platform", "nonsense", "x"], capture_output=True, text=True
    ).stderr
    known = {word.strip(" ,[]\n") for word in usage.replace("]", " ").split()}

    wanted = {target_of(Platform(machine, (3, 11), (2, minor))).platforms[0] for minor in range(17, 60)}

    assert wanted <= known


def test_32_bit_arm_goes_to_pip_with_every_tag_it_can_run_and_numpy_of_its_own() -> None:
    target = target_of(Platform("armv7l", (3, 9), (2, 31)))

    assert (target.installer, target.from_device) == (Installer.PIP, ("numpy",))
    assert target.platforms[:2] == ("manylinux_2_31_armv7l", "manylinux_2_30_armv7l")
    assert target.platforms[-3:] == ("manylinux_2_17_armv7l", "manylinux2014_armv7l", "linux_armv7l")


def test_a_32_bit_program_on_a_64_bit_arm_kernel_is_32_bit_arm() -> None:
    assert target_of(Platform("armv8l", (3, 9), (2, 31))) == target_of(Platform("armv7l", (3, 9), (2, 31)))


@pytest.mark.parametrize(
    ("platform", "words"),
    [
        (Platform("x86_64", (3, 12), None), r"Python 3.12 \(x86_64, no glibc\)"),
        (Platform("x86_64", (3, 6), (2, 12)), r"Python 3.6 \(x86_64, glibc 2.12\)"),
        (Platform("armv6l", (3, 9), (2, 31)), r"Python 3.9 \(armv6l, glibc 2.31\)"),
        (Platform("riscv64", (3, 13), (2, 41)), r"Python 3.13 \(riscv64, glibc 2.41\)"),
        (Platform("i686", (3, 9), (2, 31)), r"Python 3.9 \(i686, glibc 2.31\)"),
    ],
)
def test_a_platform_that_nothing_is_published_for_has_no_wheels(platform: Platform, words: str) -> None:
    with pytest.raises(NoWheel, match=f"no wheels are published for {words}"):
        target_of(platform)


@pytest.mark.parametrize("platform", [Platform("unknown", (3, 9), (2, 31)), Platform("x86_64", (0, 0), (2, 31))])
def test_a_device_that_did_not_say_what_it_is_is_an_error(platform: Platform) -> None:
    with pytest.raises(BundleError, match="did not say what it is"):
        target_of(platform)


def test_words_name_what_decides() -> None:
    assert words_for(Platform("aarch64", (3, 11), (2, 36))) == "Python 3.11 (aarch64, glibc 2.36)"
