"""Feed several items at once to a model: the setting `batch`. An item is what a row of a data set is."""

from __future__ import annotations

from device_worker.trial.runtimes.base import InputSlot, LoadedModel, LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Iterator, Sequence

    from device_worker.trial.input_files import Inputs


def items_of(slots: Sequence[InputSlot]) -> list[InputSlot]:
    """Return the inputs of a single item."""
    return [InputSlot(slot.name, slot.item_shape, slot.dtype, slot.is_quantised) for slot in slots]


def draw_items(inputs: Inputs, first: int, slots: Sequence[InputSlot], batch: int) -> list[Any]:
    """Return the inputs of an invocation: `batch` items from number `first` on, an array for each input of the model.

    After the last row of a data set the first one follows.
    """
    single = items_of(slots)
    if batch == 1:
        return inputs.draw(first, single)
    import numpy

    drawn = [inputs.draw(_number(inputs, first + place), single) for place in range(batch)]
    return [
        numpy.concatenate([item[place] for item in drawn]) if slot.shape != slot.item_shape else drawn[0][place]
        for place, slot in enumerate(slots)
    ]


def _number(inputs: Inputs, index: int) -> int:
    return index % len(inputs) if inputs.source == "dataset" else index


def split_outputs(session: LoadedModel, batch: int) -> Iterator[LoadedModel | ItemOutputs]:
    """Yield a model for each item of the last invocation, with the outputs of that item."""
    if batch == 1:
        yield session
        return
    outputs = session.get_outputs()
    refuse_outputs(session, outputs, batch)
    for place in range(batch):
        yield ItemOutputs(session, [output[place : place + 1] for output in outputs])


def refuse_outputs(session: LoadedModel, outputs: Sequence[Any], batch: int) -> None:
    """Raise LoadFailure if an output does not have an entry for each item of an invocation."""
    for name, output in zip(session.output_names, outputs):
        shape = getattr(output, "shape", ())
        if batch > 1 and tuple(shape[:1]) != (batch,):
            raise cannot(batch, f"its output {name!r} has the shape {list(shape)} then")


def cannot(batch: int, why: object) -> LoadFailure:
    """Return the failure of a model that takes no batch of a size."""
    return LoadFailure(
        f"the model takes no batch of {batch}: {why}; leave the cell out (exclude: [{{batch: {batch}}}])"
    )


class ItemOutputs:
    """The outputs of an item of a batch that has been run, read as those of a model."""

    def __init__(self, session: LoadedModel, outputs: list[Any]) -> None:
        self._outputs = outputs
        self.output_names = session.output_names
        self.decode_outputs = session.decode_outputs

    def get_outputs(self) -> list[Any]:
        """Return the outputs of the item."""
        return self._outputs
