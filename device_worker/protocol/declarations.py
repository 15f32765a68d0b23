"""Read what people declare for a job: inputs and outputs of a model, and the nodes asked of a delegate.

Plans of older controllers declare ranges of inputs alone.
"""

from __future__ import annotations

import re

from device_worker.protocol.files import JobFile

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Callable, Mapping

    from device_worker.protocol.fields import Fields

_INPUT = re.compile(r"\$\{([^}]+)\}")


class DeclaredInput:
    """An input: the range of random numbers, `shape` and `dtype`. None is undeclared.

    `from_output` names the output that is fed back to the input. `file` holds the array that the input is taken from.
    """

    __slots__ = ("dtype", "file", "from_output", "high", "low", "shape")

    def __init__(self, fields: Fields | None) -> None:
        # Both are absent for text and for inputs from files, which nobody draws.
        is_drawn = fields is not None and not {"low", "high"}.isdisjoint(fields.names())
        self.low = fields.number("low") if fields is not None and is_drawn else 0.0
        self.high = fields.number("high") if fields is not None and is_drawn else 1.0
        self.shape = None if fields is None else fields.optional("shape", _sizes_of(fields))
        self.dtype = None if fields is None else fields.optional("dtype", fields.text)
        self.from_output = None if fields is None else fields.optional("from_output", fields.text)
        file = None if fields is None else fields.optional("file", fields.section)
        self.file = None if file is None else JobFile(file)


class DeclaredInputs:
    """The declarations of inputs by name, with one for the inputs that no declaration names."""

    __slots__ = ("by_name", "others")

    def __init__(self, job: Fields) -> None:
        self.others = DeclaredInput(job.optional("input", job.section))
        named = job.optional("inputs", job.section)
        self.by_name = {} if named is None else {name: DeclaredInput(named.section(name)) for name in named.names()}

    def of(self, name: str) -> DeclaredInput:
        """Return the declaration of an input."""
        return self.by_name.get(name, self.others)

    def files(self) -> list[JobFile]:
        """Return the files that inputs are taken from."""
        return [one.file for one in (self.others, *self.by_name.values()) if one.file is not None]


class DeclaredOutput:
    """The output that accuracy is about. `name` is None where the shape alone tells the output."""

    __slots__ = ("name", "shape")

    def __init__(self, fields: Fields) -> None:
        self.name = fields.optional("name", fields.text)
        self.shape: tuple[int, ...] = _sizes_of(fields)("shape")


class Delegation:
    """The share of nodes that a delegate must run, by default all. `allow_fallback`: the cell is measured anyway."""

    __slots__ = ("allow_fallback", "nodes_min")

    def __init__(self, job: Fields) -> None:
        said = job.optional("delegation", job.section)
        self.nodes_min = 1.0 if said is None else said.amount("nodes_min")
        self.allow_fallback = False if said is None else said.flag("allow_fallback")


class DeclaredEndpoint:
    """A served model: its name there, and the address of the server. `url` is None where the job starts the server.

    A started server is given up if it is not ready within `ready_s_max`. `signature` is TensorFlow's, `template` of
    the protocol `http`.
    """

    __slots__ = ("model", "ready_s_max", "signature", "template", "url", "version")

    def __init__(self, fields: Fields) -> None:
        self.model = fields.text("model")
        self.url = fields.optional("url", fields.text)
        self.version = fields.optional("version", fields.text)
        self.signature = fields.optional("signature", fields.text)
        self.ready_s_max = fields.amount("ready_s_max")
        template = fields.optional("template", fields.section)
        self.template = None if template is None else DeclaredTemplate(template)


class DeclaredTemplate:
    """A way to ask any server in JSON. `${NAME}` in `body` stands for the numbers of an input.

    `outputs` maps names to places in the answer, as JSON Pointers. `ready_path` answers with success once the model can
    be asked.
    """

    __slots__ = ("body", "inputs", "method", "outputs", "path", "ready_path")

    def __init__(self, fields: Fields) -> None:
        self.method = fields.text("method")
        self.path = fields.text("path")
        self.ready_path = fields.text("ready_path")
        self.body = fields.text("body")
        outputs = fields.section("outputs")
        self.outputs = {name: outputs.text(name) for name in outputs.names()}
        self.inputs = list(dict.fromkeys(_INPUT.findall(self.body)))

    def filled(self, written: Mapping[str, str]) -> str:
        """Return the body with what is written of each input."""
        return _INPUT.sub(lambda found: written[found.group(1)], self.body)


def _sizes_of(fields: Fields) -> Callable[[str], tuple[int, ...]]:
    def take(key: str) -> tuple[int, ...]:
        return tuple(fields.take(key, _are_sizes, "a list of whole numbers of at least 1"))

    return take


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(size) is int and size >= 1 for size in value)
