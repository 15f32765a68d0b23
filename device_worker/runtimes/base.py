"""What a runtime has to be, for a trial process to drive it.

A runtime's module is imported only in a trial process, and imports its heavy libraries only when `Runtime` is created,
so that loading a model can be timed without them. Arrays are numpy's.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable


class LoadFailure(Exception):
    """The model, or the runtime itself, cannot be made ready to run."""


class InputSlot:
    """One input of a model: its name, shape and the name of its dtype."""

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self.name = name
        self.shape = shape
        self.dtype = dtype


class Session(ABC):
    """A loaded model. `invoke` runs it once and is called in the measured loop: bind the runtime's own function."""

    invoke: Callable[[], object]
    inputs: list[InputSlot]

    @abstractmethod
    def encode_inputs(self, values: list[Any]) -> list[Any]:
        """Return float arrays, one per input, in the dtypes of the model, quantised where it is."""

    @abstractmethod
    def set_inputs(self, encoded: list[Any]) -> None:
        """Hand encoded inputs to the model."""

    @abstractmethod
    def get_outputs(self) -> list[Any]:
        """Return the outputs of the last `invoke` as the model has them."""

    @abstractmethod
    def decode_outputs(self, outputs: list[Any]) -> list[Any]:
        """Return outputs as float32 arrays, dequantised where they were quantised."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what really executes, once it has: name, version, delegates, threads, dtypes; None for unknown."""


class Runtime(ABC):
    """A runtime that has been imported for one job of a plan."""

    @abstractmethod
    def __init__(self, job: dict[str, Any]) -> None:
        """Import what the job needs, and refuse settings that would silently do nothing."""

    @abstractmethod
    def load(self) -> Session:
        """Make the job's model ready for its first inference."""
