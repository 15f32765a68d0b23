"""Keep or reset a model's state between invocations, outside of what is timed.

A state lives in variables of the runtime, or leaves the model as an output that comes back as an input.
"""

from __future__ import annotations

from device_worker.trial.declared import shape_words
from device_worker.trial.runtimes.base import LoadFailure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable

    from device_worker.protocol.specification import TrialJob
    from device_worker.trial.runtimes.base import LoadedModel

KEEP, RESET = "keep", "reset"
NO_SCENARIO = (
    "in a scenario queries follow each other at once, with no time for a state to be reset or fed back; take scenario: "
    "out of the sweep, or declare state: keep in model.yaml for a model with variables"
)


class ModelState:
    """The state of a loaded model under the policy of model.yaml. Without a word there, a state is kept.

    `prepare` is called before each invocation but the first, and is None where there is nothing to do. `given` are the
    inputs of the last invocation, with what was fed back. `unbegun` says why the state could not begin anew, or is
    None. Raise LoadFailure for a state that the runtime cannot reset, and for an output that is fed back and missing.
    """

    def __init__(self, session: LoadedModel, job: TrialJob) -> None:
        self._session = session
        self._policy = job.state or KEEP
        self._declared = job.state
        self._fed = _find_fed(session, job)
        self._variables = session.variables()
        self.given: list[Any] = []
        self.unbegun: str | None = None
        self.prepare: Callable[[], None] | None = None
        if self._policy == RESET:
            self._refuse_unresettable()
            self.prepare = session.reset_variables if self._variables else None
        elif self._fed:
            self.prepare = self._feed_back

    def set_inputs(self, values: list[Any], *, first: bool = False) -> list[Any]:
        """Set the inputs of an invocation, and return them as encoded.

        A state that is fed back begins with zeros, and goes on where it is kept.

        With `first`, the state begins anew.
        """
        self.given = list(values)
        goes_on = self._policy == KEEP and not first
        outputs = self._outputs() if goes_on and self._fed else []
        for place, output in self._fed:
            self.given[place] = outputs[output] if goes_on else self.given[place] * 0
        if self._variables and (first or self._policy == RESET):
            self._begin_anew()
        encoded = self._session.encode_inputs(self.given)
        self._session.set_inputs(encoded)
        return encoded

    def to_json(self) -> dict[str, Any] | None:
        """Return the state for the identity of the runtime, or None for a model without one."""
        if not self._fed and not self._variables and self._declared is None:
            return None
        fed = {self._session.inputs[place].name: self._session.output_names[output] for place, output in self._fed}
        return {"policy": self._policy, "variables": self._variables, "fed_back": fed}

    def _begin_anew(self) -> None:
        """Reset the variables. What the runtime cannot reset goes on, where model.yaml asks for no reset."""
        try:
            self._session.reset_variables()
        except LoadFailure as error:
            if self._policy == RESET:
                raise
            self.unbegun = (
                f"the state cannot begin anew, and what ran before is in the outputs ({_without_advice(error)})"
            )

    def _feed_back(self) -> None:
        outputs = self._outputs()
        for place, output in self._fed:
            self.given[place] = outputs[output]
        self._session.set_inputs(self._session.encode_inputs(self.given))

    def _outputs(self) -> list[Any]:
        """Return the outputs as inputs take them: numbers as they are, and quantised ones by their scale."""
        plain = self._session.get_outputs()
        decoded = self._session.decode_outputs(plain)
        found = list(plain)
        for place, output in self._fed:
            if self._session.inputs[place].is_quantised:
                found[output] = decoded[output]
        return found

    def _refuse_unresettable(self) -> None:
        """Raise LoadFailure where the policy is to reset, and the runtime cannot, or nobody knows."""
        if self._variables is None:
            raise LoadFailure(
                "nobody can tell whether this runtime keeps a state of the model, and model.yaml says state: reset; "
                "measure it by another runtime, or declare state: keep"
            )
        if self._variables:
            self._session.reset_variables()


def _without_advice(error: LoadFailure) -> str:
    # The advice is the policy that already holds.
    return str(error).partition("; ")[0]


def _find_fed(session: LoadedModel, job: TrialJob) -> list[tuple[int, int]]:
    """Return the places of the inputs and of the outputs that are fed back to them."""
    found, names = [], list(session.output_names)
    for place, slot in enumerate(session.inputs):
        wanted = job.inputs.of(slot.name).from_output if slot.name in job.inputs.by_name else None
        if wanted is None:
            continue
        if wanted not in names:
            raise LoadFailure(
                f"model.yaml feeds the output {wanted!r} back to the input {slot.name!r}, and the file has "
                f"{', '.join(map(repr, names))}; correct inputs.{slot.name}.from_output"
            )
        found.append((place, names.index(wanted)))
    return found


def check_fed_shapes(session: LoadedModel, job: TrialJob) -> None:
    """Raise LoadFailure for an output that is fed back, and has another shape than the input. Run once before."""
    fed = _find_fed(session, job)
    outputs = session.get_outputs() if fed else []
    for place, output in fed:
        slot, shape = session.inputs[place], tuple(outputs[output].shape)
        if shape != slot.shape:
            raise LoadFailure(
                f"the output {session.output_names[output]!r} is {shape_words(shape)}, and the input {slot.name!r} "
                f"that it is fed back to is {shape_words(slot.shape)}; correct inputs.{slot.name}.from_output"
            )
