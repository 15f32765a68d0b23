"""The contract of the conversation: what a worker answers, whatever stands behind the worker.

The real worker passes the suite over pipes, and the fleet simulator over SSH. A suite has the fixtures `device` and
`connect` (connections to one fresh device), `plans`, and `gate`, which keeps trials from ending until it opens.
"""

import pytest

from device_worker.protocol.messages import encode_message
from worker_client import Refused, events_of, sha256_of, trials_of


class ConversationContract:
    """Questions, answers, and what is not a question."""

    def test_the_whole_of_a_run_over_one_connection(self, device, plans):
        trials = plans.add_program("job", trials=3)
        events = device.execute("run-1", plans)
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        assert [event["kind"] for event in events] == [
            "log-opened",
            "runner-started",
            *["trial-started", "trial-finished"] * 3,
            "run-finished",
        ]
        assert [event["trial"] for event in trials_of(events)] == trials
        assert events[-1]["outcome"] == "complete"
        opened = events[0]
        assert (opened["run"], opened["device"], opened["protocol"]) == ("run-1", "test-device", 1)
        assert opened["plan_sha256"] == sha256_of(plans.plan_bytes())
        assert opened["worker_sha256"] == device.worker_sha256
        status = {"state": "finished", "log_id": opened["log_id"], "last_seq": len(events)}
        assert device.ask("status", run="run-1") == dict(status, type="status")
        assert device.ask("forget", run="run-1", log_id="another", last_seq=len(events))["forgotten"] is False
        assert device.ask("forget", run="run-1", log_id=opened["log_id"], last_seq=3)["forgotten"] is False
        assert device.ask("forget", run="run-1", log_id=opened["log_id"], last_seq=len(events))["forgotten"] is True
        assert device.ask("stock")["runs"] == []
        assert device.ask("forget", run="run-1", log_id=opened["log_id"], last_seq=len(events))["forgotten"] is True
        assert device.ask("status", run="run-1")["state"] == "unknown"
        assert device.close() == 0

    def test_a_second_run_of_the_same_plan_ships_nothing(self, device, plans):
        plans.add_program("job")
        device.execute("run-1", plans)
        assert device.upload(*plans.blobs(), plans.plan_bytes()) == 0
        assert device.execute("run-2", plans)[-1]["outcome"] == "complete"

    def test_start_is_idempotent_while_running_and_after_the_end(self, device, connect, plans, gate):
        gate.add_program(plans)
        first = device.start("run-1", plans)
        second = connect().start("run-1", plans)
        assert first == second
        assert first["state"] == "running"
        gate.open()
        events = device.events("run-1", first["log_id"])
        assert len(trials_of(events)) == len(trials_of(events, "runner-started")) == 1
        third = device.start("run-1", plans)
        assert third == {"type": "start", "state": "finished", "log_id": first["log_id"], "pid": None}

    def test_a_controller_that_comes_back_follows_on_from_where_it_was(self, device, connect, plans, gate):
        gate.add_program(plans, trials=4, free=1)
        log_id = device.start("run-1", plans)["log_id"]
        seen = device.until(device.follow("run-1", log_id), "trial-finished", trial="job.1")
        device.process.kill()  # the link drops: nobody says goodbye
        gate.open()
        rest = connect().events("run-1", log_id, after_seq=seen[-1]["seq"])
        assert [event["seq"] for event in seen + rest] == list(range(1, rest[-1]["seq"] + 1))
        assert rest[-1]["kind"] == "run-finished"

    def test_a_run_goes_on_without_a_connection(self, device, connect, plans, gate):
        gate.add_program(plans)
        answer = device.start("run-1", plans)
        assert device.close() == 0
        later = connect()
        assert later.ask("status", run="run-1")["state"] == "running"
        gate.open()
        assert later.events("run-1", answer["log_id"])[-1]["outcome"] == "complete"

    def test_following_with_another_log_id_begins_at_the_first_record(self, device, plans):
        plans.add_program("job")
        events = device.execute("run-1", plans)
        assert device.events("run-1", "an older log", after_seq=2) == events
        assert device.events("run-1", None) == events
        assert device.events("run-1", events[0]["log_id"], after_seq=3) == events[3:]
        assert device.events("run-1", events[0]["log_id"], after_seq=len(events)) == []

    def test_following_beyond_the_end_of_the_log_is_an_error(self, device, plans):
        plans.add_program("job")
        events = device.execute("run-1", plans)
        fields = {"run": "run-1", "log_id": events[0]["log_id"], "heartbeat_s": 1}
        with pytest.raises(Refused) as refused:
            device.ask("follow", after_seq=len(events) + 1, **fields)
        assert refused.value.kind == "log-corrupt"

    def test_following_an_unknown_run_ends_at_once(self, device):
        messages = list(device.follow("nothing", None))
        nothing = dict.fromkeys(("log_id", "last_seq", "reason"))
        assert messages == [dict(nothing, type="follow-ended", state="unknown")]

    def test_a_silent_run_is_followed_by_heartbeats(self, device, plans, gate):
        gate.add_program(plans)
        log_id = device.start("run-1", plans)["log_id"]
        kinds = [next(messages)["type"] for messages in [device.follow("run-1", log_id, 0, 0.05)] for _ in range(5)]
        assert kinds[0] == "records"
        assert kinds[-2:] == ["alive", "alive"]

    def test_the_end_of_a_trial_and_the_start_of_the_next_come_together(self, device, plans):
        plans.add_program("job", trials=3)
        log_id = device.start("run-1", plans)["log_id"]
        followed = [events_of(message) for message in device.follow("run-1", log_id) if message["type"] == "records"]
        kinds = [event["kind"] for events in followed for event in events]
        assert kinds.count("trial-finished") == 3
        assert any({"trial-finished", "trial-started"} <= {event["kind"] for event in events} for events in followed)

    def test_two_may_follow_one_run(self, device, connect, plans):
        plans.add_program("job", trials=3)
        log_id = device.start("run-1", plans)["log_id"]
        other = connect()
        followed = [device.follow("run-1", log_id, 0, 0.2), other.follow("run-1", log_id, 0, 0.2)]
        logs = []
        for messages in followed:
            logs.append([event for message in messages if message["type"] == "records" for event in events_of(message)])
        assert logs[0] == logs[1]
        assert logs[0][-1]["kind"] == "run-finished"

    def test_facts_have_every_key_and_no_zero_for_unknown(self, device):
        facts = device.ask("facts")["facts"]
        assert facts["python"] == device.hello["python"]
        assert facts["boot_id"] == device.hello["boot_id"]
        assert facts["state_dir"] == device.loader["state_dir"]
        assert [key for key, value in facts.items() if type(value) in (int, float) and value == 0] == []

    @pytest.mark.parametrize(
        ("kind", "fields"),
        [
            ("dance", {}),
            ("blobs", {}),
            ("blobs", {"blobs": [{"sha256": "../etc/passwd", "size": 1}]}),
            ("blobs", {"blobs": [{"sha256": "a" * 64, "size": -1}]}),
            ("blob-put", {"sha256": "a" * 64, "size": 10, "offset": 7}),
            ("blob-put", {"sha256": "a" * 64, "size": 10, "offset": -1}),
            ("blob-put", {"sha256": "A" * 64, "size": 10, "offset": 0}),
            ("start", {"run": "r", "plan_sha256": "zz", "skip": []}),
            ("start", {"run": "r", "plan_sha256": "a" * 64}),
            ("start", {"run": "r", "plan_sha256": "a" * 64, "skip": [1]}),
            ("start", {"run": "r", "plan_sha256": "a" * 64, "skip": [], "lease": "mine"}),
            ("start", {"run": "r", "plan_sha256": "a" * 64, "skip": [], "lease": {"token": 0}}),
            ("status", {}),
            ("status", {"run": "../up"}),
            ("status", {"run": ".hidden"}),
            ("status", {"run": ""}),
            ("cancel", {"run": "../up"}),
            ("follow", {"run": "r", "after_seq": -1, "heartbeat_s": 1}),
            ("follow", {"run": "r", "after_seq": 0, "heartbeat_s": 0}),
            ("follow", {"run": "r", "after_seq": "0", "heartbeat_s": 1}),
        ],
    )
    def test_a_bad_question_is_refused_and_the_next_one_is_answered(self, device, kind, fields):
        with pytest.raises(Refused) as refused:
            device.ask(kind, **fields)
        assert refused.value.kind == "bad-request"
        assert device.ask("status", run="r")["state"] == "unknown"

    def test_a_stream_that_is_no_conversation_is_answered_once_and_ended(self, device):
        device.process.stdin.write(b"GET / HTTP/1.1\r\n")
        answer = device.receive()
        assert (answer["type"], answer["kind"]) == ("error", "bad-request")
        assert device.receive() is None

    def test_questions_may_be_sent_before_the_answers_are_read(self, device):
        device.process.stdin.write(encode_message({"type": "status", "run": "a"}) * 20)
        assert [device.receive()["state"] for _ in range(20)] == ["unknown"] * 20

    def test_only_cancel_is_understood_while_following(self, device, plans, gate):
        gate.add_program(plans)
        log_id = device.start("run-1", plans)["log_id"]
        device.send("follow", run="run-1", log_id=log_id, after_seq=0, heartbeat_s=5.0)
        device.process.stdin.write(
            encode_message({"type": "facts"}) + encode_message({"type": "cancel", "run": "run-1"})
        )
        messages = []
        while not messages or messages[-1]["type"] != "follow-ended":
            messages.append(device.receive())
        assert [message["kind"] for message in messages if message["type"] == "error"] == ["bad-request"]
        assert messages[-1]["state"] == "finished"

    def test_a_controller_that_dies_while_following_leaves_no_worker_behind(self, device, plans, gate):
        gate.add_program(plans)
        log_id = device.start("run-1", plans)["log_id"]
        device.send("follow", run="run-1", log_id=log_id, after_seq=0, heartbeat_s=60.0)
        assert device.receive()["type"] == "records"
        assert device.close() == 0
