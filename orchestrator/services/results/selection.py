"""Select the cells of a run to compare, and refuse a question without an answer in the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from orchestrator.domain.baseline import Baseline, level_of
from orchestrator.domain.errors import ConfigError, IncompleteError, NothingToCompare
from orchestrator.domain.expansion import coordinates_of, is_by_rule, model_in
from orchestrator.domain.measurement import Cell, CellResult
from orchestrator.domain.metric import METRICS, SIZE_METRIC, is_registered, sampled_quantile
from orchestrator.domain.nearest import all_known, did_you_mean
from orchestrator.domain.sweep import setting_text
from orchestrator.services.results.pairing import identity
from orchestrator.store.base import Results

_REASONS_SHOWN = 4


def select_run(results: Results, run: str, metric: str) -> list[CellResult]:
    """Return every cell of a run with the trial values of a metric. Raise IncompleteError for a run without cells."""
    cells = _cells(results, run, metric)
    if not cells:
        raise _without_jobs(results, run)
    return cells


def _cells(results: Results, run: str, metric: str) -> list[CellResult]:
    cells = results.cell_results(run, metric)
    return [_sized(cell) for cell in cells] if metric == SIZE_METRIC else list(cells)


def _sized(cell: CellResult) -> CellResult:
    """Return a cell with the size of its artifact as the only value: no trial measures a size."""
    values = () if cell.size_bytes is None else (float(cell.size_bytes),)
    return replace(cell, trial_values=values, without_metric=0, unmeasured=())


def select_levels(results: Results, run: str, levels: Sequence[Baseline], metric: str) -> list[CellResult]:
    """Return the cells of a baseline's present levels, each from the run of its level.

    Cells at the level of the compared run itself are left out. Raise ConfigError where no cell is left.
    """
    runs = dict.fromkeys(one.run for one in levels if one.superseded_at is None)
    # A level that was accepted for a metric is that of the metric's percentiles too.
    sampled = sampled_quantile(metric)
    meant = sampled[0] if sampled else metric
    cells = [
        cell
        for name in runs
        if name != run
        for cell in _cells(results, name, metric)
        if cell.series is not None and (level := level_of(levels, cell.series, meant)) and level.run == name
    ]
    if not cells:
        name = levels[0].name
        why = f"run {run} is its level itself" if run in runs else "no run of it has cells"
        raise ConfigError(f"nothing to compare with in baseline {name}: {why}", f"benchfleet baseline show {name}")
    return cells


def left_out(results: Results, run: str, cells: Sequence[CellResult], *, rules_too: bool) -> list[CellResult]:
    """Return the cells left out of a run's plans as results without values, each with the reason.

    `rules_too` includes the cells that a rule of the sweep excludes. `cells` are the run's cells.
    """
    # Cells of a run of one model do not name the model.
    only = cells[0].cell.model
    return [
        _absent(
            Cell(run, one.device, model_in(one.label) or only, *coordinates_of(one.label)), cells[0].metric, one.reason
        )
        for one in results.excluded_cells(run)
        if rules_too or not is_by_rule(one.reason)
    ]


def lacking(
    cells: Sequence[CellResult], base: Sequence[CellResult], run: str, reasons: Mapping[str, str]
) -> list[CellResult]:
    """Return the cells of `base` missing in a run, as results without values.

    `reasons` maps the devices of the run in a bad state to the reason.
    """
    here = {identity(cell.cell) for cell in cells}
    wanted = [(replace(one.cell, run=run), one.metric) for one in base if one.absent is None]
    return [
        _absent(cell, metric, reasons.get(cell.device) or "the run has no such cell")
        for cell, metric in wanted
        if identity(cell) not in here
    ]


def _absent(cell: Cell, metric: str, reason: str) -> CellResult:
    return CellResult(cell, metric, (), 0, 0, 0, None, None, None, absent=reason)


def _without_jobs(results: Results, run: str) -> IncompleteError:
    """Return the error of a run without cells. The hint names a run with results."""
    # `last` is the newest run, whatever became of that run, so that people meet this error often.
    hint = f"benchfleet runs show {run} says why"
    newest = results.newest_run_with_results()
    if newest is not None:
        hint += f"; the newest run with results is {newest}"
    excluded = results.excluded_cells(run)
    if excluded:
        first = excluded[0]
        why = f"all its cells were excluded, such as {first.label} on {first.device}: {first.reason}"
    else:
        why = "no device of it was ever planned"
    return IncompleteError(f"run {run} has no jobs: {why}", hint=hint)


def check_measured(results: Results, runs: Iterable[str], cells: Sequence[CellResult], run: str, name: str) -> None:
    """Raise ConfigError for a metric without any value in the cells of runs. `run` names the runs in the message."""
    if any(cell.trial_values for cell in cells):
        return
    # Asked for here alone: reading the names of a run takes as long as reading its values.
    measured = sorted({metric for one in runs for metric in results.measured_metrics(one)})
    # A run without a single good trial is not refused: the comparison then shows each cell's reason.
    is_silent = not measured or not any(cell.without_metric or not _has_lost_trials(cell) for cell in cells)
    if is_registered(name) and is_silent:
        return
    hint = all_known(measured) if measured else did_you_mean(name, METRICS)
    # A name that nothing registers may be misspelt.
    kind = NothingToCompare if is_registered(name) else ConfigError
    raise kind(f"no trial of run {run} measured {name!r}{_reasons(cells)}", hint=hint)


def _has_lost_trials(cell: CellResult) -> bool:
    return cell.invalid + cell.failed + cell.missing > 0


def _reasons(cells: Sequence[CellResult]) -> str:
    """Return the devices' reasons, each once, as the end of a sentence."""
    by_device = {(cell.cell.device, reason): None for cell in cells for reason in cell.unmeasured}
    said = [f"{device}: {reason}" for device, reason in by_device]
    more = f"; and {len(said) - _REASONS_SHOWN} more" if len(said) > _REASONS_SHOWN else ""
    return f": {'; '.join(said[:_REASONS_SHOWN])}{more}" if said else ""


def check_varies(cells: Sequence[CellResult], run: str, by: str) -> None:
    """Raise ConfigError unless the cells have at least two values of the coordinate `by`."""
    names = dict.fromkeys(name for cell in cells for name in cell.cell.coordinates)
    values = {name: _values(cells, name) for name in names}
    if by not in values:
        raise ConfigError(f"run {run} does not vary anything called {by!r}", hint=did_you_mean(by, names))
    by_model = {model: _values(of_model, by) for model, of_model in cells_by_model(cells).items()}
    if any(len(found) > 1 for found in by_model.values()):
        return
    if len(values[by]) > 1:
        words = "; ".join(f"{model} has {by} {', '.join(found)}" for model, found in by_model.items())
        raise NothingToCompare(
            f"nothing to compare in run {run}: {words}", hint="each model is compared with itself alone"
        )
    varied = "; ".join(f"{name}: {', '.join(found)}" for name, found in values.items() if len(found) > 1)
    hint = f"what varies is {varied}" if varied else "every coordinate of it has one value"
    raise NothingToCompare(f"nothing to compare: every cell of run {run} has {by} {values[by][0]}", hint=hint)


def _values(cells: Iterable[CellResult], name: str) -> list[str]:
    return list(dict.fromkeys(setting_text(cell.cell.coordinates.get(name)) for cell in cells))


def base_values(cells: Iterable[CellResult], run: str, by: str, base: str) -> frozenset[str]:
    """Return the values of `by` meant by `base`. Raise ConfigError if there are none."""
    values = _values(cells, by)
    # The very value before the glob: a value may contain `*` or `[`.
    if base in values:
        return frozenset((base,))
    found = {value for value in values if fnmatchcase(value, base)}
    if not found and by == "runtime":
        # The whole name first: `tflite` must not also mean `tflite-runtime` where both were measured.
        found = {value for value in values if value.partition("==")[0] == base}
        found = found or {value for value in values if value.startswith(base)}
    if not found:
        raise ConfigError(f"run {run} has no {by} {base!r}", hint=all_known(values))
    return frozenset(found)


def cells_by_model(cells: Iterable[CellResult]) -> Mapping[str, list[CellResult]]:
    """Return cells by the name of the model, in the order of the first cells."""
    found: dict[str, list[CellResult]] = {}
    for cell in cells:
        found.setdefault(cell.cell.model, []).append(cell)
    return found


def common_parents(results: Results, run: str, by: str, cells: Iterable[CellResult]) -> Mapping[str, str]:
    """Return the common ancestor of all variants of each model that has one. Raise ConfigError if no model has."""
    by_model = {model: _values(of_model, by) for model, of_model in cells_by_model(cells).items()}
    if by != "variant":
        values = list(dict.fromkeys(value for of_model in by_model.values() for value in of_model))
        raise ConfigError(f"compare --by {by} needs --base", hint=all_known(values))
    parents = results.variant_parents(run)
    found = {model: _common_parent(model, values, parents) for model, values in by_model.items()}
    known = {model: parent for model, parent in found.items() if parent is not None}
    if not known:
        values = list(dict.fromkeys(value for of_model in by_model.values() for value in of_model))
        raise ConfigError(
            f"the variants of run {run} have no common parent among them: give --base", hint=all_known(values)
        )
    return known


def _common_parent(model: str, values: Sequence[str], parents: Mapping[tuple[str, str], str | None]) -> str | None:
    ancestries = [_ancestry(model, value, parents) for value in values]
    # Nearest first: of two common ancestors the later one is closer to what is compared.
    for name in ancestries[0]:
        if name in values and all(name in ancestry for ancestry in ancestries):
            return name
    return None


def _ancestry(model: str, variant: str, parents: Mapping[tuple[str, str], str | None]) -> list[str]:
    """Return a variant, its parent, the parent's parent and so on."""
    line = [variant]
    while (parent := parents.get((model, line[-1]))) is not None and parent not in line:
        line.append(parent)
    return line
