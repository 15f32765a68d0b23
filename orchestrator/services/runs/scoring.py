"""Compute a metric of the user's on the outputs that a run has kept. The user's file runs here, never on a device."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orchestrator.domain.errors import BlobError, ConfigError
from orchestrator.domain.metric import METRICS
from orchestrator.domain.scored import Score, ScoredOutputs
from orchestrator.services.base import HasRecords
from orchestrator.services.runs.show import require_run

if TYPE_CHECKING:
    # Types alone: numpy is imported where a metric is computed.
    from orchestrator.analysis.user_metric import Labels, UserMetric
    from orchestrator.services.nights.folder import NightBlobs

_NAME = re.compile("[a-z][a-z0-9_]{0,60}")
_REASON_MAX = 500


class ScoringWiring(HasRecords, Protocol):
    """Offer the database, and contents by hash."""

    def cache(self) -> NightBlobs:
        """Return the keeper of contents by hash."""


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """Ask for the metric in a Python file, on the outputs of a run. Bounds are for each cell."""

    run: str
    file: Path
    seconds: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class CellScore:
    """Hold a cell with its score. `of` is the number of inputs of the data set, None if unknown."""

    outputs: ScoredOutputs
    score: Score
    of: int | None = None


def score_run(request: ScoreRequest, wiring: ScoringWiring) -> Sequence[CellScore]:
    """Compute and store a metric for each cell of a run. A cell without a value has a reason on record.

    Raise ConfigError for an unknown run, for a bad file, and for a run without kept outputs.
    """
    from orchestrator.analysis.user_metric import UserMetric

    name = metric_of(request.file)
    run = require_run(wiring.store.runs, request.run).header.run
    kept = wiring.store.scored.kept_outputs(run)
    if not kept:
        raise ConfigError(f"run {run} has kept no outputs", f"benchfleet runs show {run} says why")
    metric = UserMetric(request.file, request.seconds, request.memory_bytes)
    labels = _LabelReader(wiring.cache())
    found = [_scored(one, name, metric, labels) for one in kept]
    wiring.store.scored.write_scores([one.score for one in found])
    return found


def metric_of(file: Path) -> str:
    """Return the name of the metric in a file: `f1.py` is `accuracy_f1`. Raise ConfigError for a bad file.

    The higher, the better, unless the name ends with `_error`.
    """
    if not file.is_file() or file.suffix != ".py":
        raise ConfigError(f"{file}: no such Python file", "a file with a function metric(outputs, labels)")
    if not _NAME.fullmatch(file.stem):
        raise ConfigError(f"{file.stem!r} cannot be a metric's name", "lower-case letters, digits and '_'")
    name = f"accuracy_{file.stem}"
    if name in METRICS:
        raise ConfigError(f"{name} is a metric of the worker's own", "give the file another name")
    return name


class _LabelReader:
    """Reads the labels of data sets, each once."""

    def __init__(self, cache: NightBlobs) -> None:
        self._cache = cache
        self._known: dict[str, Labels | None] = {}

    def of(self, kept: ScoredOutputs) -> Labels | None:
        """Return the labels of a cell's data set, None without any. Raise BlobError, OSError or ValueError."""
        from orchestrator.analysis.user_metric import read_labels

        if kept.dataset is None:
            return None
        if kept.dataset.sha256 not in self._known:
            self._known[kept.dataset.sha256] = read_labels(self._cache.path(kept.dataset))
        return self._known[kept.dataset.sha256]


def _scored(kept: ScoredOutputs, name: str, metric: UserMetric, labels: _LabelReader) -> CellScore:
    from orchestrator.analysis.user_metric import ask

    try:
        true = labels.of(kept)
    except (BlobError, OSError, ValueError) as error:
        words = error.message if isinstance(error, BlobError) else str(error)
        return CellScore(kept, Score(kept.attempt, name, None, f"the labels cannot be read: {words}"[:_REASON_MAX]))
    said = ask(metric, kept, true)
    of = None if true is None else len(true)
    if "error" in said:
        reason = f"{metric.file.name}: {said['error']}"[:_REASON_MAX]
        return CellScore(kept, Score(kept.attempt, name, None, reason), of)
    sha256 = None if kept.dataset is None else kept.dataset.sha256
    return CellScore(kept, Score(kept.attempt, name, said["value"], None, tuple(said.get("by_input", ())), sha256), of)
