"""What may go from a device, by a real SQLite database and scripted devices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import pytest

from orchestrator.domain.cleaning import Cleaning, CleanOrder, Item, ItemKind, StockedRun
from orchestrator.domain.conversation import (
    Clean,
    Cleaned,
    Close,
    Command,
    RecordsArrived,
    Report,
    SessionEnded,
    StockTaken,
    TakeStock,
)
from orchestrator.domain.errors import DeviceBusy, DeviceError, StoreError
from orchestrator.domain.run import Offset, PreparedRecords
from orchestrator.services.devices.clean import CleaningScope, clean_devices, reason_to_keep
from orchestrator.store.store import Store
from orchestrator.testing.event_logs import sample_device
from tests.unit.driving.test_drive import HAT, PI, RUN, Reply, ScriptedExecutor, drive, obedient

EYE = sample_device("pi-05")
FINISHED = StockedRun(RUN, "finished", "log-1", 7, 4096, 0)
BLOB = Item(ItemKind.BLOB, "b" * 64, 1 << 20)


class Shelf:
    """A device with these runs: what is ordered goes, or it is busy."""

    def __init__(self, *runs: StockedRun, busy: bool = False) -> None:
        self.runs = runs
        self.busy = busy
        self.order: CleanOrder | None = None

    @property
    def ordered(self) -> list[StockedRun]:
        """The runs that were last told to go."""
        assert self.order is not None
        return list(self.order.runs)

    def __call__(self, command: Command) -> Sequence[Report]:
        if isinstance(command, TakeStock):
            return [StockTaken("pi-03", self.runs)]
        assert isinstance(command, Clean)
        if self.busy:
            return [SessionEnded("pi-03", DeviceBusy("run other is measuring here", device="pi-03"))]
        self.order = command.order
        gone = tuple(Item(ItemKind.RUN, run.run, run.size_bytes) for run in command.order.runs)
        return [Cleaned("pi-03", (*gone, BLOB), ())]


@pytest.fixture
def measured(store: Store) -> StockedRun:
    """A run that is in the database as a whole, as it lies on its device."""
    drive(store, ScriptedExecutor({"pi-03": obedient(PI)}))
    offset = store.logs.offset(RUN, "pi-03")
    assert offset.log_id is not None
    return replace(FINISHED, log_id=offset.log_id, last_seq=offset.last_seq)


def clean(store: Store, shelf: Shelf, wish: CleaningScope, answer: bool | None = None) -> Cleaning | DeviceError:
    """Clean one device; `answer` is what a person says when asked, None where nobody must be asked."""

    def agreed(device: str, run: Item) -> bool:
        assert answer is not None, f"nobody should be asked about {run}"
        assert (device, run.reason is not None) == ("pi-03", True)
        return answer

    return clean_devices([PI], store.logs, ScriptedExecutor({"pi-03": shelf}), wish, agreed)["pi-03"]


def test_a_finished_run_that_the_database_has_goes(store: Store, measured: StockedRun) -> None:
    shelf = Shelf(measured)
    found = clean(store, shelf, CleaningScope())
    assert isinstance(found, Cleaning)
    assert shelf.order == CleanOrder((measured,), cache=True, dry_run=False)
    assert (found.freed_bytes, found.kept) == (4096 + (1 << 20), ())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"log_id": "another"}, "does not have its log"),
        ({"last_seq": 1000}, "of its 1000 records"),
        ({"state": "stopped"}, "resume"),
        ({"damaged": 1}, "damaged"),
        ({"run": "of-another-database"}, "does not have its log"),
    ],
)
def test_a_log_that_the_database_lacks_stays_unless_a_person_says_so(
    store: Store, measured: StockedRun, change: dict[str, object], words: str
) -> None:
    run = replace(measured, **change)  # type: ignore[arg-type]
    shelf = Shelf(run)
    found = clean(store, shelf, CleaningScope())
    assert isinstance(found, Cleaning)
    assert shelf.ordered == []
    assert [words in str(item.reason) for item in found.kept] == [True]
    clean(store, shelf, CleaningScope(force=True), answer=False)
    assert shelf.ordered == []
    clean(store, shelf, CleaningScope(force=True), answer=True)
    assert shelf.ordered == [run]


def test_a_dry_run_asks_nobody(store: Store, measured: StockedRun) -> None:
    shelf = Shelf(replace(measured, state="stopped"))
    clean(store, shelf, CleaningScope(force=True, dry_run=True))
    assert shelf.order is not None
    assert (shelf.order.dry_run, len(shelf.order.runs)) == (True, 1)


def test_the_cache_alone_leaves_every_run(store: Store, measured: StockedRun) -> None:
    shelf = Shelf(measured)
    clean(store, shelf, CleaningScope(runs=False))
    assert shelf.order == CleanOrder((), cache=True, dry_run=False)


def test_a_busy_device_is_a_value_and_the_others_are_cleaned(store: Store) -> None:
    def other(command: Command) -> Sequence[Report]:
        if isinstance(command, TakeStock):
            return [StockTaken("pi-04", ())]
        return [Cleaned("pi-04", (BLOB,), ())]

    scripts = ScriptedExecutor({"pi-03": Shelf(busy=True), "pi-04": other})
    found = clean_devices([PI, HAT], store.logs, scripts, CleaningScope(), lambda device, run: False)
    assert list(found) == ["pi-03", "pi-04"]
    assert isinstance(found["pi-03"], DeviceBusy)
    assert isinstance(found["pi-04"], Cleaning)


def test_a_database_that_fails_costs_the_devices_that_need_it_and_no_other_answer() -> None:
    """The first device is cleaned already when the database goes; the last needs nothing of it."""
    answers = {PI.name: (), HAT.name: (FINISHED,), EYE.name: ()}

    def script(name: str) -> Reply:
        def reply(command: Command) -> Sequence[Report]:
            if isinstance(command, TakeStock):
                return [StockTaken(name, answers[name])]
            return [Cleaned(name, (BLOB,), ())]

        return reply

    class GoneDatabase:
        def ingest(
            self, batch: Sequence[RecordsArrived], leases: Mapping[str, int] | None = None, *, short_only: bool = False
        ) -> NoReturn:
            raise AssertionError("cleaning stores no records")

        def prepare(self, arrived: RecordsArrived) -> NoReturn:
            raise AssertionError("cleaning reads no records")

        def ingest_prepared(self, prepared: PreparedRecords, leases: Mapping[str, int] | None = None) -> NoReturn:
            raise AssertionError("cleaning stores no records")

        def offset(self, run: str, device: str) -> Offset:
            raise StoreError("benchfleet.db: nothing answers there", "check host and port")

    scripts = ScriptedExecutor({name: script(name) for name in answers})
    found = clean_devices([PI, HAT, EYE], GoneDatabase(), scripts, CleaningScope(), lambda device, run: False)
    lost = found[HAT.name]
    assert isinstance(lost, DeviceError)
    assert (str(lost), lost.hint) == ("pi-04: clean: benchfleet.db: nothing answers there", "check host and port")
    assert [found[name].freed_bytes for name in (PI.name, EYE.name)] == [BLOB.size_bytes] * 2  # type: ignore[union-attr]
    assert [command for name, command in scripts.posted if name == HAT.name] == [TakeStock(), Close()]


@pytest.mark.parametrize(
    ("run", "offset", "may_go"),
    [
        (FINISHED, Offset("log-1", 7), True),
        (FINISHED, Offset("log-1", 6), False),
        (FINISHED, Offset("log-2", 7), False),
        (FINISHED, Offset(None, 0), False),
        (replace(FINISHED, state="running"), Offset("log-1", 7), False),
        (replace(FINISHED, state="stopped"), Offset("log-1", 7), False),
        (replace(FINISHED, damaged=1), Offset("log-1", 7), False),
        (StockedRun(RUN, "unknown", None, None, 0, 0), Offset(None, 0), True),
        (StockedRun(RUN, "running", None, None, 0, 0), Offset(None, 0), False),
    ],
)
def test_what_may_go_without_asking(run: StockedRun, offset: Offset, may_go: bool) -> None:
    assert (reason_to_keep(run, offset) is None) is may_go
