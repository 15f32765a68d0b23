import pytest

from orchestrator.blobs.packages import contents_of
from orchestrator.domain.errors import BundleError
from orchestrator.domain.runtime import ExecProgram, RuntimeSource, RuntimeSpec
from orchestrator.domain.runtimes import RUNTIMES


def runtime(label: str) -> RuntimeSpec:
    name, _, version = label.partition("==")
    return RuntimeSpec(label, RuntimeSource.BUNDLE, name, version or None)


@pytest.mark.parametrize(
    ("label", "machine", "requirement", "constraints"),
    [
        ("tflite-runtime==2.14.0", "x86_64", "tflite-runtime==2.14.0", ("numpy<2",)),
        ("tflite-runtime==2.5.0.post1", "armv7l", "tflite-runtime==2.5.0.post1", ("numpy<2",)),
        ("ai-edge-litert==1.0.1", "aarch64", "ai-edge-litert==1.0.1", ("numpy<2",)),
        ("ai-edge-litert==1.1.2", "aarch64", "ai-edge-litert==1.1.2", ()),
        ("ai-edge-litert==2.3.0", "x86_64", "ai-edge-litert==2.3.0", ()),
        ("tensorflow==2.21.0", "x86_64", "tensorflow-cpu==2.21.0", ()),
        ("tensorflow==2.21.0", "aarch64", "tensorflow==2.21.0", ()),
        ("tensorflow==2.18.0rc1", "x86_64", "tensorflow-cpu==2.18.0rc1", ()),
        ("tensorflow==2.17.1", "x86_64", "tensorflow-cpu==2.17.1", ("numpy<2",)),
        ("tensorflow==2.12.1", "x86_64", "tensorflow-cpu==2.12.1", ("numpy<2", "numpy<1.24")),
        ("torch==2.2.2", "x86_64", "torch==2.2.2", ("numpy<2",)),
        ("torch==2.13.0+cpu", "x86_64", "torch==2.13.0+cpu", ()),
        ("onnxruntime==1.18.1", "aarch64", "onnxruntime==1.18.1", ("numpy<2",)),
        ("onnxruntime==1.20.1", "x86_64", "onnxruntime==1.20.1", ()),
        ("tensorflow==2.9.0", "aarch64", "tensorflow==2.9.0", ("numpy<2", "numpy<1.24", "protobuf<3.21")),
    ],
)
def test_a_runtime_is_made_of_pinned_packages_and_the_bounds_that_they_forget(
    label: str, machine: str, requirement: str, constraints: tuple[str, ...]
) -> None:
    contents = contents_of(runtime(label), machine)

    assert contents.requirement == requirement
    assert contents.constraints == constraints


def test_torch_comes_with_the_package_that_it_forgets() -> None:
    assert contents_of(runtime("torch==2.13.0"), "x86_64").beside == ("numpy",)
    program = RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("sh",), packages=("torch==2.13.0",)))
    assert contents_of(program, "x86_64").beside == ("numpy",)


@pytest.mark.parametrize(
    ("label", "machine", "brings"),
    [
        ("torch==2.13.0", "x86_64", True),
        ("torch==2.13.0+cpu", "x86_64", False),
        ("torch==1.13.1", "x86_64", True),
        ("torch==2.13.0", "aarch64", True),
        ("torch==2.9.1", "aarch64", False),
        ("torch==2.13.0", "armv7l", False),
        ("onnxruntime==1.20.1", "x86_64", False),
    ],
)
def test_a_package_with_gigabytes_says_so_before_it_is_fetched(label: str, machine: str, brings: bool) -> None:
    note = contents_of(runtime(label), machine).note
    assert bool(note) is brings
    assert ("brings NVIDIA's libraries along: gigabytes" in note) is brings


def test_every_runtime_of_the_table_has_contents_in_the_version_of_its_example() -> None:
    for name, known in RUNTIMES.items():
        assert contents_of(runtime(f"{name}=={known.example}"), "x86_64").version == known.example


@pytest.mark.parametrize("label", ["jax==0.4.0", "tflite-runtime"])
def test_a_runtime_without_a_recipe_or_a_pin_is_an_error(label: str) -> None:
    with pytest.raises(BundleError, match="no recipe for a bundle of") as caught:
        contents_of(runtime(label), "x86_64")
    assert ", ".join(sorted(RUNTIMES)) in str(caught.value.hint)


@pytest.mark.parametrize(
    ("package", "requirement", "constraints"),
    [
        ("pyopen-wakeword==1.1.0", "pyopen-wakeword==1.1.0", ()),
        ("tflite-runtime==2.14.0", "tflite-runtime==2.14.0", ("numpy<2",)),
        ("tensorflow==2.21.0", "tensorflow-cpu==2.21.0", ()),
    ],
)
def test_a_program_brings_any_package_and_what_is_known_of_a_runtime_holds_for_it(
    package: str, requirement: str, constraints: tuple[str, ...]
) -> None:
    program = RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("sh",), packages=(package,)))
    contents = contents_of(program, "x86_64")

    assert (contents.requirement, contents.constraints) == (requirement, constraints)
    assert program.bundled == tuple(package.split("=="))


def test_packages_of_a_program_are_resolved_together() -> None:
    packages = ("mlserver==1.7.1", "tflite-runtime==2.14.0")
    program = RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("sh",), packages=packages))
    contents = contents_of(program, "x86_64")

    assert (contents.requirement, contents.beside) == ("mlserver==1.7.1", ("tflite-runtime==2.14.0",))
    assert contents.constraints == ("numpy<2",)


def test_a_package_under_another_name_stands_for_the_one_that_others_require() -> None:
    """tensorflow-serving-api requires tensorflow, whose files on x86-64 are those of tensorflow-cpu."""
    packages = ("tensorflow==2.21.0", "tensorflow-serving-api==2.21.0")
    program = RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("sh",), packages=packages))

    assert contents_of(program, "x86_64").replaced == ("tensorflow",)
    assert contents_of(program, "aarch64").replaced == ()


def test_a_program_without_a_package_has_no_bundle() -> None:
    assert RuntimeSpec("exec/c", RuntimeSource.EXEC, "c", program=ExecProgram(("sh",))).bundled is None
