"""Time the operators of a model in PyTorch by PyTorch's own profiler."""

from __future__ import annotations

from device_worker.trial.profile import Operator, Profile, ProfileUnavailable
from device_worker.trial.runtimes.base import ProfiledModel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterable

    from device_worker.trial.runtimes.torch_model import TorchModel

_MARK = "benchfleet inference"
_PREFIX = "aten::"
_SHAPE_CHARACTERS_MAX = 120


class ProfiledTorchModel(ProfiledModel):
    """A model under PyTorch's profiler, which keeps all events in memory until the end."""

    def __init__(self, model: TorchModel, torch: Any) -> None:
        self.model: TorchModel = model
        profiler = torch.autograd.profiler
        # The profiler of autograd: every release has it, also those that are built without Kineto.
        self._profile = profiler.profile(record_shapes=True)
        mark, plain = profiler.record_function, model.invoke

        def marked() -> None:
            with mark(_MARK):
                plain()

        model.invoke = marked
        self._profile.__enter__()

    def read_profile(self, warmup: int) -> Profile:
        """Return the operators of all inferences but the first ones. Raise ProfileUnavailable if none was told."""
        self._profile.__exit__(None, None, None)
        return read_operators(self._profile.function_events or (), warmup)


def read_operators(events: Iterable[Any], warmup: int) -> Profile:
    """Return the own times of operators, by kind and sizes of the inputs. Raise ProfileUnavailable without any.

    PyTorch does not tell which layer calls an operator: the sizes stand for the layer.
    """
    events = list(events)
    begins = sorted(event.time_range.start for event in events if event.name == _MARK)[warmup:]
    if not begins:
        raise ProfileUnavailable("PyTorch's profiler has no inference after the warm-up")
    found: dict[tuple[str, str], Operator] = {}
    for event in events:
        if event.time_range.start < begins[0] or not _is_within(event):
            continue
        kind = event.name[len(_PREFIX) :] if event.name.startswith(_PREFIX) else event.name
        key = kind, _sizes(event.input_shapes)
        operator = found.setdefault(key, Operator(kind, f"{kind} {key[1]}".strip(), None))
        operator.calls += 1
        operator.total_ns += max(0, round(event.self_cpu_time_total * 1000))  # told in microseconds
    if not found:
        raise ProfileUnavailable("PyTorch's profiler names no operator")
    return Profile(list(found.values()), len(begins))


def _is_within(event: Any) -> bool:
    """Say whether an event is part of an inference. Copies of inputs and outputs lie between inferences."""
    parent = event.cpu_parent
    while parent is not None and parent.name != _MARK:
        parent = parent.cpu_parent
    return parent is not None


def _sizes(shapes: Any) -> str:
    """Return the sizes of an operator's tensors in words, without those that are single numbers."""
    words = " ".join("x".join(map(str, shape)) for shape in shapes or () if isinstance(shape, (list, tuple)) and shape)
    return words if len(words) <= _SHAPE_CHARACTERS_MAX else words[: _SHAPE_CHARACTERS_MAX - 1] + "…"
