"""What a site's part does while the database is away, and what becomes of a defect beside the daemon's own devices."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchestrator.domain.errors import BadDatabaseUrl, OrchestratorError, SitesLeft, StoreError, WrongSchema
from orchestrator.domain.submission import Claim, Submission, SubmissionState
from orchestrator.execution import sites as execution
from orchestrator.services.queue import sites
from orchestrator.services.queue.sites import Parts, SitePart, carrying
from orchestrator.store.store import open_store
from tests.site_jobs import IdleJob

if TYPE_CHECKING:
    from orchestrator.services.base import QueueWiring

HOUR_S = 3600.0
ONE = Submission(
    *(1, "run-1", "ann@ws1", "one", "/lab/one.yaml", "all", 0, 1),
    *(SubmissionState.RUNNING, datetime(2026, 11, 30, 12, tzinfo=UTC), 1),
)


def part(*errors: StoreError) -> SitePart:
    """Return a part whose node opens its database with one error after the other."""
    left = list(errors)

    def opens() -> AbstractContextManager[QueueWiring]:
        raise left.pop(0)

    return SitePart("site oslo", {"site": "oslo"}, False, ONE, Claim(1, 1, 1), (), opens)


def test_an_absence_counts_from_its_first_failure() -> None:
    absence = sites._Absence()
    absence.answered(0)
    absence.answered(3 * HOUR_S)
    assert not absence.is_too_long(3 * HOUR_S), "the night before was no absence"
    absence.answered(4 * HOUR_S)
    assert not absence.is_too_long(4 * HOUR_S + 10), "an answer between two failures begins nothing anew"
    assert absence.is_too_long(5 * HOUR_S + 10)
    absence.answered(5 * HOUR_S + 20)
    absence.answered(5 * HOUR_S + 20 + sites._ANSWERS_S)
    assert not absence.is_too_long(6 * HOUR_S), "the database was back"


def test_a_database_that_does_not_answer_is_waited_for_and_a_wrong_url_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sites, "_PAUSE_S", 0.0)
    mistyped = part(StoreError("does not answer"), StoreError("does not answer"), BadDatabaseUrl("postgress://"))
    with pytest.raises(BadDatabaseUrl, match="postgress"):
        mistyped(lambda: True)


def test_a_node_of_another_release_is_told_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sites, "_PAUSE_S", 0.0)
    url = f"sqlite:///{tmp_path}/lab.db"
    open_store(url).close()
    with closing(sqlite3.connect(tmp_path / "lab.db")) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    with pytest.raises(WrongSchema, match="9999") as newer:
        open_store(url)
    with pytest.raises(WrongSchema, match="9999"):
        part(StoreError("does not answer"), newer.value)(lambda: True)


class Broken:
    """Sites with a defect."""

    @property
    def opens(self) -> Callable[[], AbstractContextManager[QueueWiring]]:
        return part(StoreError("never opened")).opens

    def join(self) -> None:
        return None

    def carry(self, jobs: Parts, keeps_on: Callable[[], bool]) -> Mapping[str, OrchestratorError | None]:
        raise KeyError("node")


def test_a_defect_of_the_sites_leaves_the_devices_unfinished(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BENCHFLEET_DEBUG", raising=False)
    with pytest.raises(SitesLeft, match="unexpected KeyError: 'node'") as found, carrying(Broken(), {}, lambda: True):
        pass
    assert found.value.hint is not None
    assert "a defect of benchfleet" in found.value.hint


class Gone:
    """A gateway, or Ray itself, once the cluster's head has gone: each look at it fails."""

    def __getattr__(self, name: str) -> object:
        raise ConnectionError("the head has gone")


def test_a_head_that_has_gone_does_not_replace_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    cluster = execution.RaySites("10.0.0.1:6379", said.append)
    monkeypatch.setattr(cluster, "_ray", Gone())

    def fails_once_placed(_sites: object, parts: list[execution._Part], _ends: object) -> None:
        parts[0].gateway = Gone()
        raise StoreError("the right reason")

    monkeypatch.setattr(execution.RaySites, "_step", fails_once_placed)
    with pytest.raises(StoreError, match="the right reason"):
        cluster.carry({"site oslo": IdleJob({"site": "oslo"})}, lambda: True)
    assert said == ["gateways could not be ended: the head has gone; devices go on by themselves"]
