"""Drive the devices of a run: hear reports, let the machine of each device decide, carry out the orders.

The driver alone writes the database. Sessions report to a single queue. A step writes all reports of a kind in a single
transaction: fifty devices cost hardly more than a single device. The cost of a step follows the number of changes, not
the number of devices.

Each step first reads the standings from the database, in a single query for all devices concerned. An event then
carries the facts, the machine of `stages` decides, and handlers carry the orders out.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from orchestrator.domain.conversation import (
    FactsReported,
    FollowEnded,
    PlanStarted,
    RecordsArrived,
    RungClimbed,
    SessionEnded,
    SessionReport,
    StepBegan,
    is_answer,
)
from orchestrator.domain.device import Device
from orchestrator.domain.errors import CorruptLog, LeaseLost, NoSuchRelease, OrchestratorError, StoreError
from orchestrator.domain.lease import Busy, Granted
from orchestrator.domain.run import DeviceRunState, Offset, Standing
from orchestrator.driving.backlog import Backlog
from orchestrator.driving.fitness import check_health, warn_of_exchange
from orchestrator.driving.inbox import Inbox
from orchestrator.driving.lease_answers import is_queued, lease_event
from orchestrator.driving.leases import DeviceLeases
from orchestrator.driving.long_records import LongRead, LongRecords
from orchestrator.driving.next_command import naming_next_command
from orchestrator.driving.plans import PlanMade, Plans
from orchestrator.driving.records import Left, Records
from orchestrator.driving.renewals import Renewed
from orchestrator.driving.roster import Roster
from orchestrator.driving.sessions import Sessions
from orchestrator.driving.stages import events as e
from orchestrator.driving.stages import orders as o
from orchestrator.driving.stages.endings import goes_on
from orchestrator.driving.stages.following import may_restart
from orchestrator.driving.stages.machine import advance
from orchestrator.driving.stages.part import MEASURING, DevicePart, Hold, Stage
from orchestrator.driving.stages.part import Intent as Intent
from orchestrator.driving.tools import DriverTools as DriverTools
from orchestrator.driving.tools import Handler
from orchestrator.driving.tools import Planner as Planner
from orchestrator.driving.witnesses import Witnesses

Note = PlanMade | Renewed | LongRead
"""What the driver's own threads tell the driver."""


class Driver:
    """Take a run through its devices, once: `drive()`, or `begin()`, `step()` until False, and always `close()`.

    All calls come from the same thread. A thread may step several drivers in turn. With `retry_failed` the trials run
    again without any good attempt.
    """

    def __init__(self, run: str, intent: Intent, tools: DriverTools, *, retry_failed: bool = False) -> None:
        self._run = run
        self._intent = intent
        self._tools = tools
        self._store = tools.store
        self._display = tools.display
        self._identity = tools.identity
        self._inbox: Inbox[Note] = Inbox()
        self._backlog = Backlog()
        self._witnesses = Witnesses(self._remote_devices)
        self._roster = Roster(self._witnesses)
        # A command that only collects starts nothing, and is let in beside the lease of another holder.
        collects = intent in (Intent.FOLLOW, Intent.CANCEL)
        # A command that leaves its devices to themselves cannot see the end of a turn.
        takes_turns = intent is not Intent.DETACH
        put = self._inbox.put
        self._leases = DeviceLeases(
            tools.store.leases, run, tools.identity, put, collects=collects, takes_turns=takes_turns
        )
        self._sessions = Sessions(run, tools.executor, self._roster, put, between_trials=tools.between_trials)
        self._records = Records(run, tools, self._leases, self._sessions.note_stored)
        self._long_records = LongRecords(tools.store.logs, put)
        self._plans = Plans(run, tools, self._leases, self._sessions, put, retry_failed=retry_failed)
        # One table of every order. A test compares the keys with the orders of the rules.
        self.handlers: Mapping[type[Any], Handler] = {
            **self._sessions.handlers,
            **self._records.handlers,
            **self._plans.handlers,
            o.LaunchRescue: self._launch_rescue,
        }

    def drive(self, devices: Sequence[Device]) -> frozenset[str]:
        """Drive the devices to their ends. Return the devices taken over by another controller meanwhile.

        KeyboardInterrupt ends the sessions, leaves the runners going, and is passed on. Raise NoSuchRelease at the end,
        once every device is recorded, if the sweep names an unknown release. Raise StoreError, with the command to go
        on as the hint, if the database fails.
        """
        try:
            self.begin(devices)
            while self.step(self._tools.look_s) and self._tools.is_wanted():
                pass
        finally:
            self.close()
        # Last: every device's end is on record by then, as for any other error.
        if self.mistake is not None:
            raise self.mistake
        return self.taken_over

    def begin(self, devices: Sequence[Device]) -> None:
        """Ask for the leases of the devices, and connect to each granted device. Raise StoreError as `drive` does."""
        with naming_next_command(self._run, self._intent):
            found = self._standings([device.name for device in devices])
            self._roster.enter(
                DevicePart(self._run, self._intent, device, found[device.name].state) for device in devices
            )
            self._inbox.expect(len(devices))
            # Of several names of one machine, the one whose runner may be alive goes first.
            in_turn = sorted(devices, key=lambda device: found[device.name].state is not DeviceRunState.RUNNING)
            self._handle_lease_answers(self._leases.request(in_turn), found)
            # A device may have ended at once: refused, or in quarantine.
            self._give_back(self._roster.take_ended())

    def step(self, at_most_s: float | None = None) -> bool:
        """Handle the reports of the sessions. Return whether any device goes on.

        Wait at most `at_most_s` seconds for a report, or until the next due time. Raise StoreError as `drive` does.
        """
        if self._roster.going_on:
            work_s = 0.0 if self._backlog else None
            pauses = [pause for pause in (at_most_s, self._leases.pause_s, work_s) if pause is not None]
            urgent, due = self._inbox.take(min(pauses, default=None), self._roster.going_on)
            with naming_next_command(self._run, self._intent):
                # Reports of an earlier session may come late: the device has moved on since.
                self._handle([one for one in urgent if self._is_present(one)], [*filter(self._is_present, due)])
        return self._roster.going_on > 0

    def close(self) -> None:
        """End the sessions and give back every device. May be called twice.

        If the database does not answer, the leases run out later. The executor stays open for other drivers.
        """
        self._plans.close()
        self._long_records.close()
        # Sessions first: a device that is given back must not be written to any more.
        self._sessions.end()
        with suppress(StoreError):  # the run is over or has an error of its own: that error must not be hidden
            self._give_back(self._leases.devices)
        self._leases.close()

    @property
    def taken_over(self) -> frozenset[str]:
        """Return the devices taken over by another controller."""
        return self._roster.taken_over

    @property
    def mistake(self) -> NoSuchRelease | None:
        """Return the error in the sweep itself, or None."""
        return self._plans.mistake

    # ---- One step

    def _handle(self, urgent: Sequence[SessionReport | Note], due: Sequence[SessionReport]) -> None:
        """Handle the reports of a step, and give back the ended devices."""
        now = time.monotonic()
        # Answers first: a device that is stranded in this very step may have a witness only in a later one.
        for arrived in (*urgent, *due):
            if isinstance(arrived, SessionReport) and is_answer(arrived.report):
                self._witnesses.hear(self._roster[arrived.session.device].device, now)
        # Before the reports: a device that another controller has taken then needs no refused write to end.
        renewed = self._handle_renewals([one for one in urgent if isinstance(one, Renewed)])
        self._handle_lease_answers(self._leases.ask_if_due())
        self._handle_urgent(urgent)
        self._handle_read([one for one in urgent if isinstance(one, LongRead)])
        self._handle_due(due)
        self._help_stranded(every=renewed or self._witnesses.take_news())
        self._give_back(self._roster.take_ended())

    def _handle_renewals(self, renewals: Sequence[Renewed]) -> bool:
        """Leave the devices with lost leases. Return whether leases were renewed."""
        for lost in (lost for renewed in renewals for lost in self._leases.take(renewed)):
            if not self._roster[lost.device].ended:
                self._lose_lease(lost)
        return bool(renewals)

    def _handle_lease_answers(
        self, answers: Mapping[str, Granted | Busy], known: Mapping[str, Standing] | None = None
    ) -> None:
        """Apply the database's answers: connect to granted devices, and name the holders of busy devices."""
        if not answers:
            return
        barred = self._store.recovery.quarantines(list(answers)) if self._intent in MEASURING else {}
        if known is None:
            # A device that goes on waiting needs no look at its row: a long queue is asked about every two seconds.
            settled = [name for name, answer in answers.items() if name in barred or not is_queued(answer)]
            known = self._standings(settled)
        for name, answer in answers.items():
            self._apply(name, lease_event(name, answer, barred.get(name), known.get(name), self._identity))
        self._sessions.connect()  # together, once every answer has been applied

    def _handle_urgent(self, reports: Sequence[SessionReport | Note]) -> None:
        """Handle the reports of devices waiting for an answer. All facts share a transaction, and so do all plans."""
        facts: list[FactsReported] = []
        made: list[PlanMade] = []
        for arrived in reports:
            if isinstance(arrived, PlanMade):
                made.append(arrived)
                continue
            if isinstance(arrived, Renewed | LongRead):
                continue
            match report := arrived.report:
                case PlanStarted():  # from here on the log tells the rest
                    self._apply(report.device, e.RunnerAlive())
                case RungClimbed():
                    event = e.RungReported(report.rung, report.reason, report.succeeded, report.took_s)
                    self._apply(report.device, event)
                case StepBegan() if not self._roster[report.device].ended:
                    self._display.step(report.device, report.step, report.detail)
                case FactsReported() if not self._roster[report.device].ended:
                    facts.append(report)
        if facts:
            self._handle_facts(facts)
        if made:
            self._handle_plans(made)

    def _handle_facts(self, reports: Sequence[FactsReported]) -> None:
        taken = [(self._roster[report.device].device, report.facts) for report in reports]
        before = self._store.devices.latest_facts([report.device for report in reports])
        snapshots = self._store.devices.save_snapshots(taken, datetime.now(UTC))
        usable = []
        for report in reports:
            part, snapshot = self._roster[report.device], snapshots[report.device]
            if isinstance(snapshot, StoreError):
                self._apply(part.name, e.Unusable(snapshot))
                continue
            self._plans.keep_facts(report, snapshot)
            warn_of_exchange(part.name, before.get(part.name), report.facts, self._display)
            unfit = check_health(part.device, report.facts, self._display) if part.wants_health else None
            if unfit is not None:
                self._apply(part.name, e.Unusable(unfit))
                continue
            usable.append(part.name)
        in_use = self._confirm(usable)
        for name, known in self._standings([name for name in usable if name not in in_use]).items():
            self._apply(name, e.FactsStored(known))

    def _confirm(self, names: Sequence[str]) -> Collection[str]:
        """Give up devices on machines in use, by the facts, under another name. Return the names."""
        devices = [self._roster[name].device for name in names if self._roster[name].hold is Hold.EXCLUSIVE]
        answers = self._leases.confirm(devices) if self._intent in MEASURING else {}
        known = self._standings([name for name, answer in answers.items() if not is_queued(answer)])
        for name, answer in answers.items():
            self._apply(name, lease_event(name, answer, None, known.get(name), self._identity))
        return answers.keys()

    def _handle_plans(self, made: Sequence[PlanMade]) -> None:
        # A plan is made anew after a rescue, from new facts: the plan from the old facts may still arrive.
        wanted = [
            one
            for one in made
            if self._roster[one.device].stage is Stage.PREPARING and self._plans.is_of_last_facts(one)
        ]
        for name, result in self._plans.record(wanted).items():
            if isinstance(result, LeaseLost):
                self._lose_lease(result)
            elif isinstance(result, OrchestratorError):
                self._apply(name, e.Unusable(result))
            else:
                self._apply(name, e.PlanRecorded(result))

    def _handle_read(self, notes: Sequence[LongRead]) -> None:
        """Commit each long record read, in a separate transaction."""
        for note in notes:
            self._backlog.give_back()
            report = note.report.report
            assert isinstance(report, RecordsArrived)
            # Reports of an earlier session may come late, and the device may have been taken over since.
            if self._is_present(note.report) and not self._roster[report.device].ended:
                self._apply_refusal(self._records.commit_prepared(report, note.future.result()))

    def _handle_due(self, due: Sequence[SessionReport]) -> None:
        """Commit all short records together, have a long record read, and apply ends of logs and sessions."""
        reports = [one for one in self._backlog.admit(due) if self._is_present(one)]
        self._commit([one for one in reports if isinstance(one.report, RecordsArrived)])
        self._long_records.read_next(self._backlog, self._is_present)
        ends = [one for one in reports if not isinstance(one.report, RecordsArrived)]
        # The end of a log is judged by the offset, which its own records move: it waits behind those held back.
        for arrived in (one for one in ends if one.session.device in self._backlog):
            self._backlog.hold(arrived)
        self._handle_ends([one for one in ends if one.session.device not in self._backlog])

    def _commit(self, reports: Sequence[SessionReport]) -> None:
        records = [one.report for one in reports if isinstance(one.report, RecordsArrived)]
        records = [one for one in records if not self._roster[one.device].ended]
        left: list[Left] = []
        for error in self._records.commit(records, left):
            self._apply_refusal(error)
        sessions = {one.session.device: one.session for one in reports}
        for rest in left:
            self._backlog.hold(SessionReport(sessions[rest.report.device], rest.report), is_long=rest.is_long)

    def _apply_refusal(self, error: LeaseLost | CorruptLog | None) -> None:
        if isinstance(error, LeaseLost):
            self._lose_lease(error)
        elif error is not None:  # a log that cannot be stored stays on the device, where a person can look at it
            self._apply(error.device, e.Unusable(error))

    def _handle_ends(self, reports: Sequence[SessionReport]) -> None:
        followed = {one.report.device for one in reports if isinstance(one.report, FollowEnded)}
        known = self._standings(followed)
        for arrived in reports:
            match report := arrived.report:
                case FollowEnded():
                    self._apply(report.device, self._log_end_event(report, known[report.device]))
                case SessionEnded():
                    # Forgotten first: an order of the machine must not be posted to a session that is over.
                    self._roster.end_session(report.device)
                    self._apply(report.device, e.SessionOver(report.error, time.monotonic()))

    def _log_end_event(self, report: FollowEnded, known: Standing) -> e.LogEnded:
        end = _LOG_ENDS.get(report.state, e.LogEnd.GONE)
        stored = end is e.LogEnd.FINISHED and known.offset == Offset(report.log_id, report.last_seq or 0)
        part = self._roster[report.device]
        # Asked last: only a device that may be restarted costs the two queries for its plan.
        lacks_end = end is e.LogEnd.STOPPED
        missing = not part.ended and may_restart(part, end)
        missing = missing and self._plans.is_unfinished(report.device, lacks_end=lacks_end)
        return e.LogEnded(end, report.reason, known, stored, missing)

    def _help_stranded(self, *, every: bool) -> None:
        """Let the machines of stranded devices decide: rescue, leave, or wait for a sign of the other devices."""
        names = self._roster.take_stranded(every=every)
        for name, known in self._standings(names).items():
            self._apply(name, e.HelpDue(self._witnesses.network(self._roster[name]), known))

    # ---- What every event takes

    def _apply(self, name: str, event: e.Event) -> None:
        """Let the device's machine decide on an event, and carry out the orders in sequence."""
        part, orders = advance(self._roster[name], event)
        # Moved before the orders: a refused order leads to another event for the part as it is now.
        self._roster.move(part)
        try:
            for order in orders:
                self.handlers[type(order)](part, order)
        except LeaseLost as lost:  # the rest of the sequence is not carried out: the device is another's
            self._lose_lease(lost)

    def _lose_lease(self, lost: LeaseLost) -> None:
        """Leave a device to the controller with the new lease."""
        # Ended before anything is applied: no write may go out under the lost lease.
        self._leases.end(lost.device)
        self._apply(lost.device, e.LeaseTaken(lost, self._standings([lost.device])[lost.device].state))

    def _launch_rescue(self, part: DevicePart, order: o.LaunchRescue) -> None:
        try:
            self._sessions.rescue(part, order)
        except OrchestratorError as error:  # such as a gateway that has died
            self._roster.end_session(part.name)
            self._apply(part.name, e.RescueRefused(error, self._standings([part.name])[part.name]))

    def _give_back(self, names: Sequence[str]) -> None:
        """Give devices back. A device going on by itself keeps the lease for the longest time of the device's plan."""
        # Without the longer lease the device would be granted to a run that then fails on the device's own lock.
        known = self._standings([name for name in names if self._roster[name].outcome is None])
        for name in names:
            part = self._roster[name]
            state = part.outcome or known[name].state
            longest_s = self._plans.longest_s(name) if goes_on(part, state) else None
            if longest_s is None:
                self._leases.end(name)
            else:
                self._leases.leave_running(name, longest_s)
        self._leases.settle()  # together, for all of them

    def _standings(self, names: Collection[str]) -> Mapping[str, Standing]:
        """Return the standings of the devices in the database, by a single query."""
        found = self._store.runs.standings(self._run, names) if names else {}
        return {name: found[name] for name in names}

    def _remote_devices(self) -> Collection[str]:
        # Of the whole run, not of this command: with --select, other devices of the run may be with other commands.
        record = self._store.runs.find_run(self._run)
        assert record is not None
        return [one.device for one in record.devices if one.transport.is_remote]

    def _is_present(self, arrived: SessionReport | Note) -> bool:
        """Say whether a report comes from the device's present session. A note always counts."""
        return not isinstance(arrived, SessionReport) or self._roster.is_present(arrived)


_LOG_ENDS = {end.value: end for end in e.LogEnd}  # by the word of the protocol
