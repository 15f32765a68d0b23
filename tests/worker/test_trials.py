"""Trials of real programs that behave, and of many that do not."""

import glob
import json
import os
import signal
import sys
import time

import pytest

from device_worker.protocol.samples import decode_block
from device_worker.system.trial_mark import number_of
from worker_client import trials_of, wait_until

DONE = "echo '{\"done\": true}'\n"
METRIC = 'echo \'{"metric": "latency_ns", "samples": [5, 6]}\'\n'
PYTHON = f"#!{sys.executable}\n"
OUTPUTS = {"count": 1, "values_per_output": 1, "dtype": "f4", "data": "AACAPw==", "inputs": "random", "top1": [0]}


def finish(device, plans, script, **fields):
    """Run one trial of a script and return its `trial-finished`."""
    plans.add_program("job", script, **fields)
    events = device.execute("run-1", plans)
    assert events[-1]["outcome"] == "complete"
    finished = trials_of(events)
    assert len(finished) == 1
    return finished[0]


def failure_of(device, plans, script, **fields):
    finished = finish(device, plans, script, **fields)
    assert (finished["outcome"], finished["metrics"], finished["outputs"]) == ("failed", [], None)
    return finished["failure"]


def test_a_program_that_behaves_is_heard_in_full(device, plans):
    script = (
        "#!/bin/sh\n"
        'echo \'{"runtime": {"name": "mine", "version": "1.0"}}\'\n'
        'echo \'{"metric": "latency_ns", "samples": [41873, 42011], "batch": 10}\'\n'
        'echo \'{"metric": "latency_ns", "samples": [42012], "batch": 10}\'\n'
        'echo \'{"metric": "rss_bytes_max", "value": 13631488}\'\n'
        "echo\n"
        'echo \'{"window": {"begin_mono_ns": 1, "end_mono_ns": 2}}\'\n'
        f"echo '{json.dumps({'outputs': OUTPUTS})}'\n"
        "echo a word on standard error >&2\n" + DONE
    )
    finished = finish(device, plans, script)
    assert (finished["outcome"], finished["failure"], finished["invalid"]) == ("ok", None, [])
    assert finished["runtime"] == {"name": "mine", "version": "1.0"}
    assert finished["window"] == {"begin_mono_ns": 1, "end_mono_ns": 2}
    assert finished["outputs"] == OUTPUTS
    rss, latency = finished["metrics"]
    assert rss == {"name": "rss_bytes_max", "value": 13631488}
    assert (latency["name"], latency["batch"]) == ("latency_ns", 10)
    assert list(decode_block(latency["samples"])) == [41873, 42011, 42012]
    assert 0 < finished["duration_ns"] < 10e9
    told_after = {"environment", "frequency_percent", "placement", "unsteady_percent"}  # of the attempt as a whole
    assert set(finished["conditions"]) - told_after == set(finished["conditions_before"]) - told_after
    assert {"environment", "placement"} <= set(finished["conditions"])


def test_a_program_gets_its_files_its_environment_and_its_specification(device, plans, tmp_path, state_dir):
    out = tmp_path / "seen.json"
    script = (
        PYTHON + "import json, os, sys\n"
        "seen = {'spec': json.load(sys.stdin), 'env': dict(os.environ), 'cwd': os.getcwd(), 'argv': sys.argv,\n"
        "        'files': sorted(os.listdir('.')), 'sid': os.getsid(0), 'pid': os.getpid(),\n"
        "        'oom': open('/proc/self/oom_score_adj').read().strip()}\n"
        f"json.dump(seen, open({str(out)!r}, 'w'))\n"
        "print(json.dumps({'metric': 'm', 'value': 1})); print(json.dumps({'done': True}))\n"
    )
    model = plans.add_file("net.bin", b"weights", "model")
    extra = plans.add_file("tool.sh", b"#!/bin/sh\n")
    program = plans.add_file("program", script.encode())
    finished = finish(
        device,
        plans,
        script,
        command=["program", "--fast"],
        files=[program, extra],
        model=model,
        settings={"threads": 2, "mode": "a b", "deep": True},
    )
    assert finished["outcome"] == "ok", finished["failure"]
    seen = json.loads(out.read_text())
    assert seen["files"] == ["net.bin", "program", "tool.sh"]
    assert seen["argv"] == ["./program", "--fast"]
    assert seen["spec"]["job"]["model_path"] == os.path.join(seen["cwd"], "net.bin")
    assert seen["spec"]["job"]["files_dir"] == seen["cwd"]
    assert (seen["spec"]["trial"], seen["spec"]["kind"], seen["spec"]["seed"]) == ("job.1", "measure", 7)
    assert seen["spec"]["measure"] == plans.plan["measure"]
    environment = {name[11:]: value for name, value in seen["env"].items() if name.startswith("BENCHFLEET_")}
    assert environment.pop("RUNNER")
    assert os.path.samefile(environment.pop("PYTHON"), sys.executable)
    assert 0 < time.monotonic_ns() - int(environment.pop("STARTED_MONO_NS")) < 60e9
    assert set(environment.pop("PADDING")) == {"."}
    assert environment == {
        "TRIAL": "job.1",
        "KIND": "measure",
        "SEED": "7",
        "VARIANT": "fp32",
        "MODEL": os.path.join(seen["cwd"], "net.bin"),
        "SETTING_THREADS": "2",
        "SETTING_MODE": "a b",
        "SETTING_DEEP": "true",
        "WARMUP_RUNS_MIN": "1",
        "WARMUP_SECONDS_MIN": "0.0",
        "RUNS_MIN": "3",
        "SECONDS_MIN": "0.0",
        "SECONDS_MAX": "1.0",
        "RUNS_MAX": "1000",
    }
    assert seen["sid"] == seen["pid"]
    assert seen["oom"] == str(number_of(state_dir))
    assert not os.path.exists(seen["cwd"])


RESULTS = {"metric": "accuracy_top5", "encoding": "bits", "count": 3, "data": "BQ=="}


def saying_results(**fields):
    return f"#!/bin/sh\necho '{json.dumps({'input_results': dict(RESULTS, **fields)})}'\n{METRIC}{DONE}"


def test_a_program_says_what_it_got_for_each_input_of_the_jobs_data_set(device, plans):
    data = plans.add_file("data.npz", b"rows", "dataset")
    plans.add_program("job", saying_results(), dataset=data)
    plans.add_program("own", saying_results(dataset_sha256="a" * 64), dataset=data)
    found = {event["job"]: event["input_results"] for event in trials_of(device.execute("run-1", plans))}
    assert found == {
        "job": dict(RESULTS, dataset_sha256=data["sha256"]),
        "own": dict(RESULTS, dataset_sha256="a" * 64),
    }


def test_results_by_input_of_no_known_data_set_are_garbage(device, plans):
    """Nobody could say what they may be paired with."""
    plans.add_program("job", saying_results())
    (finished,) = trials_of(device.execute("run-1", plans))
    assert (finished["outcome"], finished["failure"]["kind"]) == ("failed", "garbage-output")
    assert "input_results without a data set" in finished["failure"]["message"]
    assert (finished["metrics"], finished["input_results"]) == ([], None)


def test_each_trial_gets_a_fresh_folder_and_no_way_to_spoil_the_blobs(device, plans, state_dir):
    script = "#!/bin/sh\nls | tr '\\n' ' ' >&2\ntouch left-over\nrm -f program\n" + METRIC + DONE
    plans.add_program("job", script, trials=2)
    events = device.execute("run-1", plans)
    assert [event["outcome"] for event in trials_of(events)] == ["ok", "ok"]


@pytest.mark.parametrize("name", ["SEGV", "ABRT", "KILL", "TERM"])
def test_a_signal_is_named(device, plans, name):
    failure = failure_of(device, plans, f"#!/bin/sh\necho last words >&2\n{METRIC}kill -{name} $$\n")
    assert failure == {
        "kind": "killed-by-signal",
        "message": f"killed by SIG{name}: last words",
        "signal": f"SIG{name}",
        "exit_code": None,
        "stderr_tail": "last words\n",
    }


@pytest.mark.parametrize(
    ("name", "meaning"),
    [("ILL", "an instruction that this processor lacks"), ("XCPU", "ulimit -t"), ("SYS", "container or sandbox")],
)
def test_a_signal_that_tells_who_is_to_blame_is_explained(device, plans, name, meaning):
    failure = failure_of(device, plans, f"#!/bin/sh\n{METRIC}kill -{name} $$\n")
    assert failure["message"].startswith(f"killed by SIG{name} (")
    assert meaning in failure["message"]


def test_a_trial_that_hangs_is_killed_in_time(device, plans):
    plans.plan["limits"]["trial_timeout_s"] = 0.3
    failure = failure_of(device, plans, f"#!/bin/sh\n{METRIC}trap '' TERM\nwhile :; do sleep 100; done\n")
    assert (failure["kind"], failure["signal"]) == ("timeout", "SIGKILL")
    assert failure["message"] == "still running after 0.3 s"


def test_a_stopped_trial_is_killed_in_time(device, plans):
    plans.plan["limits"]["trial_timeout_s"] = 0.3
    assert failure_of(device, plans, "#!/bin/sh\nkill -STOP $$\n")["kind"] == "timeout"


def test_an_exit_code_is_kept_with_the_end_of_standard_error(device, plans):
    script = "#!/bin/sh\nseq 1 5000 >&2\nprintf 'caf\\303\\251 \\033[31mred\\033[0m \\377 \\007' >&2\nexit 3\n"
    failure = failure_of(device, plans, script)
    assert (failure["kind"], failure["exit_code"], failure["signal"]) == ("exit-code", 3, None)
    assert failure["stderr_tail"].endswith("5000\ncafé red \ufffd \ufffd")
    assert len(failure["stderr_tail"]) <= 4096


@pytest.mark.parametrize(
    "line",
    [
        "hello",
        "[1, 2]",
        '{"metric": "m", "value": NaN}',
        '{"metric": "m", "value": 1e999}',
        '{"metric": "m", "value": "3"}',
        '{"metric": "m", "value": true}',
        '{"metric": "m", "samples": [1.5]}',
        '{"metric": "m", "samples": [-1]}',
        '{"metric": "m", "samples": [1], "batch": 0}',
        '{"metric": "m"}',
        '{"metric": "", "value": 1}',
        '{"metric": "m", "packed": {"codec": "u32-shuffle-zlib", "count": 1, "crc32": 1, "data": "AAAA"}}',
        '{"failure": {"message": "no kind"}}',
        '{"runtime": "a name"}',
    ],
)
def test_a_line_that_says_nothing_fails_the_attempt(device, plans, line):
    failure = failure_of(device, plans, f"#!/bin/sh\n{METRIC}cat <<'EOF'\n{line}\nEOF\n{DONE}")
    assert failure["kind"] == "garbage-output"
    assert line in failure["message"]


def test_binary_output_is_shown_as_text(device, plans):
    failure = failure_of(device, plans, "#!/bin/sh\nprintf '\\033]0;title\\007\\000\\377\\n'\n" + DONE)
    assert failure["kind"] == "garbage-output"
    assert failure["message"].isprintable()


def test_a_line_after_the_last_one_is_garbage(device, plans):
    assert failure_of(device, plans, f"#!/bin/sh\n{METRIC}{DONE}{METRIC}")["kind"] == "garbage-output"


def test_output_without_end_is_cut_short(device, plans):
    failure = failure_of(device, plans, "#!/bin/sh\nexec yes\n")
    assert failure["kind"] == "garbage-output"
    assert "more than 64 MiB" in failure["message"]


def test_standard_error_without_end_does_no_harm(device, plans):
    finished = finish(device, plans, f"#!/bin/sh\nyes | head -c 20000000 >&2\n{METRIC}{DONE}")
    assert finished["outcome"] == "ok"


@pytest.mark.parametrize("script", ["", METRIC, DONE], ids=["nothing", "no last line", "no metric"])
def test_a_program_that_measures_nothing_has_no_result(device, plans, script):
    assert failure_of(device, plans, f"#!/bin/sh\n{script}")["kind"] == "no-result"


def test_a_failure_in_the_programs_own_words_is_kept(device, plans):
    said = '{"failure": {"kind": "load-error", "message": "no such operator"}}'
    failure = failure_of(device, plans, f"#!/bin/sh\necho '{said}'\nexit 1\n")
    assert (failure["kind"], failure["message"], failure["exit_code"]) == ("load-error", "no such operator", 1)


@pytest.mark.parametrize("command", [["./absent"], ["/nonexistent/program"], ["./program"]])
def test_a_program_that_cannot_be_started_is_named(device, plans, command):
    failure = failure_of(device, plans, "no shebang, no program", command=command)
    assert failure["kind"] == "could-not-start"
    assert command[0] in failure["message"]


def test_memory_without_end_is_stopped_at_the_limit(device, plans):
    plans.plan["limits"]["memory_bytes_max"] = 200 << 20
    script = PYTHON + "grown = []\nwhile True:\n    grown.append(bytearray(10 << 20))\n"
    failure = failure_of(device, plans, script)
    assert failure["kind"] == "out-of-memory"
    assert "200 MiB" in failure["message"]
    assert "MemoryError" in failure["stderr_tail"]


def test_without_a_limit_of_its_own_a_trial_may_not_take_what_the_device_has_not(device, plans):
    script = PYTHON + "grown = bytearray(1 << 50)\n"
    assert failure_of(device, plans, script)["kind"] == "out-of-memory"


def test_descendants_are_gone_when_their_trial_is_over(device, plans, tmp_path):
    """One stays in the process group, one leaves it, and one leaves even the session and its parent."""
    for name in ("group", "session", "daemon"):
        os.mkfifo(str(tmp_path / name))
    readers = [os.open(str(tmp_path / name), os.O_RDONLY | os.O_NONBLOCK) for name in ("group", "session", "daemon")]
    script = (
        f"#!/bin/sh\ncd {tmp_path}\n"
        "(exec 3>group; echo up >&3; sleep 600) &\n"
        "setsid sh -c 'exec 3>session; echo up >&3; sleep 600' &\n"
        "(setsid sh -c 'exec 3>daemon; echo up >&3; sleep 600' &) &\n"
        f"while [ $(ls up-* 2>/dev/null | wc -l) -lt 0 ]; do :; done\n{METRIC}read line < go\n{DONE}"
    )
    os.mkfifo(str(tmp_path / "go"))
    plans.add_program("job", script)
    log_id = device.start("run-1", plans)["log_id"]
    for reader in readers:
        wait_until(lambda fd=reader: _read(fd) == b"up\n")
    (tmp_path / "go").write_text("go\n")
    events = device.events("run-1", log_id)
    assert trials_of(events)[0]["outcome"] == "ok"
    for reader in readers:
        assert os.read(reader, 10) == b""  # nobody has the other end open any more
        os.close(reader)


def _read(fd):
    try:
        return os.read(fd, 10)
    except BlockingIOError:
        return None


def test_a_grandchild_that_holds_the_output_open_does_not_hold_up_the_run(device, plans):
    plans.plan["limits"]["trial_timeout_s"] = 15.0
    finished = finish(device, plans, f"#!/bin/sh\n{METRIC}{DONE}sleep 600 &\n")
    assert finished["outcome"] == "ok"
    assert finished["duration_ns"] < 5e9


def test_a_trial_runs_on_the_cpus_it_is_told_to(device, plans):
    script = (
        PYTHON + "import json, os\n"
        "print(json.dumps({'metric': 'cpus', 'samples': sorted(os.sched_getaffinity(0))}))\n"
        "print(json.dumps({'done': True}))\n"
    )
    first = min(os.sched_getaffinity(0))
    finished = finish(device, plans, script, settings={"cpus": str(first)})
    assert list(decode_block(finished["metrics"][0]["samples"])) == [first]


@pytest.mark.parametrize(("cpus", "word"), [("all", "'all'"), ("3-1", "'3-1'"), ("-1", "'-1'"), ("4095", "CPU 4095")])
def test_cpus_that_do_not_exist_fail_the_attempt(device, plans, cpus, word):
    failure = failure_of(device, plans, f"#!/bin/sh\n{METRIC}{DONE}", settings={"cpus": cpus})
    assert failure["kind"] == "could-not-start"
    assert word in failure["message"]


def test_one_bad_trial_costs_nothing_but_itself(device, plans):
    plans.add_program("good", f"#!/bin/sh\n{METRIC}{DONE}")
    plans.add_program("bad", "#!/bin/sh\nkill -SEGV $$\n")
    plans.add_program("late", f"#!/bin/sh\n{METRIC}{DONE}")
    events = device.execute("run-1", plans)
    assert [(event["trial"], event["outcome"]) for event in trials_of(events)] == [
        ("good.1", "ok"),
        ("bad.1", "failed"),
        ("late.1", "ok"),
    ]


def test_a_failed_attempt_is_retried_at_once_and_every_attempt_is_kept(device, plans, tmp_path):
    flag = tmp_path / "flag"
    plans.plan["retries"]["failed"] = 2
    script = f"#!/bin/sh\nif [ -e {flag} ]; then {METRIC}{DONE}else touch {flag}; exit 9; fi\n"
    plans.add_program("flaky", script)
    plans.add_program("broken", "#!/bin/sh\nexit 1\n")
    events = trials_of(device.execute("run-1", plans))
    assert [(event["trial"], event["attempt"], event["outcome"]) for event in events] == [
        ("flaky.1", 1, "failed"),
        ("flaky.1", 2, "ok"),
        ("broken.1", 1, "failed"),
        ("broken.1", 2, "failed"),
        ("broken.1", 3, "failed"),
    ]


def test_a_failed_preflight_skips_exactly_the_trials_of_its_job(device, plans):
    """An engine that nobody has cannot be preflighted; the program beside it runs."""
    plans.add_job("alien", engine="quantum")
    plans.add_trials("alien", 2, preflight=True)
    plans.add_program("job", trials=1)
    events = device.execute("run-1", plans)
    assert [(event["trial"], event["outcome"]) for event in trials_of(events)] == [
        ("alien.0", "failed"),
        ("job.1", "ok"),
    ]
    assert trials_of(events)[0]["failure"]["kind"] == "could-not-start"
    skipped = trials_of(events, "trial-skipped")
    assert [event["trial"] for event in skipped] == ["alien.1", "alien.2"]
    assert "quantum" in skipped[0]["reason"]


def test_trials_that_the_controller_skips_are_not_run(device, plans):
    plans.add_program("job", trials=3)
    events = device.execute("run-1", plans, skip=["job.1", "job.3", "unknown.1"])
    assert [event["trial"] for event in trials_of(events)] == ["job.2"]
    assert trials_of(events, "runner-started")[0]["skip"] == 3


def test_a_result_that_no_record_can_hold_is_a_failure(device, plans):
    script = (
        PYTHON + "import json\nblob = 'x' * (20 << 20)\n"
        "print(json.dumps({'runtime': {'name': blob}}))\nprint(json.dumps({'window': {'clock': blob}}))\n"
        "print(json.dumps({'metric': 'm', 'value': 1}))\nprint(json.dumps({'done': True}))\n"
    )
    failure = failure_of(device, plans, script)
    assert failure["kind"] == "garbage-output"
    assert "cannot be kept" in failure["message"]


def test_no_trial_leaves_a_process_or_a_file_behind(device, plans, state_dir):
    handler = signal.getsignal(signal.SIGTERM)
    finish(device, plans, f"#!/bin/sh\n{METRIC}{DONE}")
    assert glob.glob(os.path.join(state_dir, "runs", "run-1", "work", "*")) == []
    assert signal.getsignal(signal.SIGTERM) == handler
