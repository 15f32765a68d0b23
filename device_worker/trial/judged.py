"""Choose the outputs that accuracy and agreement are about. What cannot be compared is Unprovable, never a failure."""

from __future__ import annotations

from device_worker.trial.accuracy import KEPT_OUTPUTS
from device_worker.trial.accuracy.base import Unprovable
from device_worker.trial.declared import describe_outputs, find_output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.batching import ItemOutputs
    from device_worker.trial.runtimes.base import LoadedModel

READ_ERRORS = (RuntimeError, TypeError, ValueError)
"""What runtimes raise for outputs of a kind that the runtime cannot copy, such as sequences of tensors."""

_REAL_KINDS = "fiub"
_EXACT_BYTES = 2
"""Whole numbers of 16 bits are exact in float32."""


def judged_outputs(session: LoadedModel | ItemOutputs, job: TrialJob) -> list[tuple[str | None, Any]]:
    """Return the declared or only output of an inference as float32, or all outputs if the job asks for no accuracy.

    Each output has its name in the file. Several are ordered by shape: the controller matches those of two variants.
    Raise Unprovable for outputs that are not real numbers, and if nothing tells which output the accuracy is about.
    Raise LoadFailure for a declared output that the file lacks.
    """
    try:
        outputs = session.get_outputs()
    except READ_ERRORS as error:
        raise Unprovable(f"the runtime cannot read the outputs: {error}") from error
    names = session.output_names
    place = find_output(job.output, names, outputs)
    if place is None and job.accuracy_metric not in (None, KEPT_OUTPUTS):
        # Converters order outputs as they like: the first one may be another one in the next variant.
        raise Unprovable(
            f"{job.accuracy_metric} of which output? The file has {describe_outputs(names, outputs)}; "
            "declare it in model.yaml, such as output: {shape: [1, 10]}"
        )
    chosen = range(len(outputs)) if place is None else [place]
    for one in chosen:
        if not hasattr(outputs[one], "dtype"):  # such as the maps of scores of scikit-learn's classifiers
            raise Unprovable(f"output {_name(names, one)} is no array: a {type(outputs[one]).__name__}")
        # Strings have no difference, and a complex number would lose its imaginary part.
        if outputs[one].dtype.kind not in _REAL_KINDS:
            raise Unprovable(f"output {_name(names, one)} is of {_words_of(outputs[one].dtype)}, not of real numbers")
    decoded = _decode(session, outputs)
    for one in chosen:
        _refuse_lost(outputs[one], decoded[one], _name(names, one))
    found = [(names[one] if one < len(names) else None, decoded[one]) for one in chosen]
    return sorted(found, key=lambda output: (output[1].ndim, output[1].shape))


def _decode(session: LoadedModel | ItemOutputs, outputs: list[Any]) -> list[Any]:
    """Return outputs as float32. An output that is no array keeps its place, as an empty one."""
    import numpy

    return session.decode_outputs([one if hasattr(one, "dtype") else numpy.zeros(0, "float32") for one in outputs])


def _refuse_lost(output: Any, decoded: Any, name: str) -> None:
    """Raise Unprovable for an output with numbers that float32 cannot hold: classes would be chosen among equals."""
    import numpy

    kind = output.dtype.kind
    if kind == "f" and (numpy.isinf(decoded) & numpy.isfinite(output)).any():
        raise Unprovable(f"output {name} is {output.dtype}, with numbers beyond those of float32")
    is_wide = kind in "iu" and output.dtype.itemsize > _EXACT_BYTES
    if is_wide and numpy.unique(decoded).size < numpy.unique(output).size:
        raise Unprovable(f"output {name} is {output.dtype}, with whole numbers that float32 cannot tell apart")


def _name(names: Any, place: int) -> str:
    return repr(names[place]) if place < len(names) else f"number {place}"


def _words_of(dtype: Any) -> str:
    return {"O": "strings", "S": "strings", "U": "strings", "c": "complex numbers"}.get(dtype.kind, str(dtype))
