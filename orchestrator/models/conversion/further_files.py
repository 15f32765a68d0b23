"""Write a converted file in the formats of further runtimes: OpenVINO's own, and that of ncnn."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.domain.errors import ConfigError
from orchestrator.models.conversion.data import Samples
from orchestrator.models.packed import pack_folder

ENDINGS: Mapping[str, str] = {"openvino": "openvino.zip", "ncnn": "ncnn.zip"}
"""The formats, with the endings of their archives."""
TOOLS: Mapping[str, tuple[str, ...]] = {"openvino": ("openvino",), "ncnn": ("pnnx", "ncnn")}
"""The packages that write and score a format."""
_PNNX_SECONDS_MAX = 600
_NO_PNNX = "pip install --no-deps pnnx (its program needs no PyTorch, though the package requires it)"


def write(form: str, converted: Path, archive: Path, shape: tuple[int, ...]) -> None:
    """Write a converted file as an archive of another format. `shape` is that of the input. Raise ConfigError."""
    folder = archive.with_name(".unpacked")
    folder.mkdir()
    try:
        _WRITERS[form](converted, folder, shape)
        pack_folder(folder, archive)
    finally:
        shutil.rmtree(folder)


def score(form: str, archive: Path, samples: Samples) -> dict[str, Any]:
    """Return the share of samples whose highest output is the label, or the reason why the file was not scored."""
    if form == "ncnn" and find_spec("ncnn") is None:
        return {"unscored": "the package ncnn is not installed here"}
    folder = archive.with_name(".scored")
    try:
        shutil.unpack_archive(archive, folder, "zip")
        run = _RUNNERS[form](folder, (1, *samples.x.shape[1:]))
        rows = zip(samples.first(len(samples.y)), samples.y, strict=True)
        right = sum(int(np.argmax(run(row)) == label) for row, label in rows)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"accuracy": {"top1": round(right / len(samples.y), 4)}}


def versions_of(form: str) -> dict[str, str]:
    """Return the versions of a format's tools. What is not installed is left out."""
    found = {}
    for tool in TOOLS[form]:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found


def _write_openvino(converted: Path, folder: Path, _shape: tuple[int, ...]) -> None:
    import openvino

    # `convert_model` would write the path of the source into the file.
    model = openvino.Core().read_model(str(converted))
    openvino.save_model(model, str(folder / "model.xml"), compress_to_fp16=False)


def _run_openvino(folder: Path, shape: tuple[int, ...]) -> Callable[[Any], Any]:
    import openvino

    core = openvino.Core()
    model = core.read_model(str(folder / "model.xml"))
    model.reshape(list(shape))
    compiled = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return lambda row: compiled([row])[0]


def _write_ncnn(converted: Path, folder: Path, shape: tuple[int, ...]) -> None:
    program = _find_pnnx(folder)
    source = shutil.copyfile(converted, folder / "model.onnx")
    sizes = ",".join(map(str, shape))
    try:
        done = subprocess.run(
            [program, source.name, "fp16=0", f"inputshape=[{sizes}]"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_PNNX_SECONDS_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ConfigError(f"pnnx has not ended within {_PNNX_SECONDS_MAX} s") from None
    made = [folder / "model.ncnn.param", folder / "model.ncnn.bin"]
    if done.returncode != 0 or not all(path.is_file() for path in made):
        last = (done.stdout.strip().splitlines() or ["it said nothing"])[-1][:300]
        raise ConfigError(f"pnnx does not write the network for ncnn (exit code {done.returncode}): {last}")
    for path in folder.iterdir():
        if path not in made:
            path.unlink()


def _find_pnnx(folder: Path) -> str:
    """Return pnnx's own program. Raise ConfigError without one.

    What the package puts on PATH imports PyTorch, and the program beside its modules does not.
    """
    spec = find_spec("pnnx")
    for place in spec.submodule_search_locations or () if spec is not None else ():
        program = Path(place) / "pnnx"
        if program.is_file() and os.access(program, os.X_OK):
            return str(program)
        if program.is_file():  # installers may lose the mode
            copy = shutil.copyfile(program, folder / "pnnx")
            copy.chmod(0o700)
            return str(copy)
    raise ConfigError(f"ncnn: needs pnnx, which is not installed here: {_NO_PNNX}")


def _run_ncnn(folder: Path, _shape: tuple[int, ...]) -> Callable[[Any], Any]:
    import ncnn

    net = ncnn.Net()
    net.opt.num_threads = 1
    for option in ("use_fp16_packed", "use_fp16_storage", "use_fp16_arithmetic", "use_bf16_storage"):
        setattr(net.opt, option, False)
    if net.load_param(str(folder / "model.ncnn.param")) or net.load_model(str(folder / "model.ncnn.bin")):
        raise ConfigError("ncnn does not read what pnnx has written")
    given, made = net.input_names()[0], net.output_names()[0]

    def run(row: Any) -> Any:
        extractor = net.create_extractor()
        # A size for the batch is what ncnn does not have.
        mat = ncnn.Mat(np.ascontiguousarray(row[0])).clone()
        extractor.input(given, mat)
        _, found = extractor.extract(made)
        return np.array(found)

    return run


_WRITERS = {"openvino": _write_openvino, "ncnn": _write_ncnn}
_RUNNERS = {"openvino": _run_openvino, "ncnn": _run_ncnn}
