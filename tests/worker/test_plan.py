"""Plans that are refused, with the place of what is wrong."""

import json

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.protocol.plan import Plan


@pytest.fixture
def content(plans):
    plans.add_program("job", trials=2, model=plans.add_file("net", b"weights"))
    return plans.plan


def parse(content):
    return Plan.parse(json.dumps(content).encode())


def test_a_good_plan_is_read(content):
    plan = parse(content)
    assert plan.device == "test-device"
    assert list(plan.jobs) == ["job"]
    assert [(trial.key, trial.is_measured) for trial in plan.trials] == [
        ("job.1", True),
        ("job.2", True),
    ]


def test_fields_of_a_later_controller_are_ignored(content):
    content["colour"] = "blue"
    content["jobs"][0]["flavour"] = ["new"]
    assert parse(content).jobs["job"].document["flavour"] == ["new"]


def set_at(content, path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["device"], 3, "device: expected text, got 3"),
        (["seed"], "7", 'seed: expected a whole number, got "7"'),
        (["seed"], True, "seed: expected a whole number, got true"),
        (["jobs"], None, "jobs: expected a list, got null"),
        (["jobs", 0], "x", 'jobs[0]: expected an object, got "x"'),
        (["jobs", 0, "engine"], None, "jobs[0].engine: expected text, got null"),
        (["jobs", 0, "settings"], [], "jobs[0].settings: expected an object, got a list"),
        (
            ["jobs", 0, "settings", "threads"],
            [2],
            "jobs[0].settings.threads: expected text, a number, true or false, got a list",
        ),
        (["jobs", 0, "command"], None, "jobs[0].command: expected the words of a command"),
        (["jobs", 0, "command"], "./program", 'jobs[0].command: expected a list, got "./program"'),
        (["jobs", 0, "command"], ["a", 3], "jobs[0].command[1]: expected text, got 3"),
        (["jobs", 0, "command"], ["a\0b"], "jobs[0].command: expected words without a NUL character"),
        (
            ["jobs", 0, "python_path"],
            ["../x"],
            "jobs[0].python_path[0]: expected a SHA-256 in lower-case hex",
        ),
        (["jobs", 0, "files", 0, "name"], "../x", 'jobs[0].files[0].name: expected a plain file name, got "../x"'),
        (["jobs", 0, "files", 0, "name"], "..", 'jobs[0].files[0].name: expected a plain file name, got ".."'),
        (["jobs", 0, "files", 0, "name"], "net", "jobs[0].files: two different files named 'net'"),
        (["jobs", 0, "files", 0, "sha256"], "abc", "jobs[0].files[0].sha256: expected a SHA-256"),
        (["jobs", 0, "model", "size"], -1, "jobs[0].model.size: expected a whole number of at least 0, got -1"),
        (["jobs", 0, "model", "size"], 1.5, "jobs[0].model.size: expected a whole number, got 1.5"),
        (["jobs", 0, "input"], {"low": 0}, "jobs[0].input.high: missing, expected a number"),
        (["jobs", 0, "accuracy_metric"], 1, "jobs[0].accuracy_metric: expected text, got 1"),
        (["trials", 1, "trial"], "job.1", 'trials[1].trial: expected another key for each trial, got "job.1"'),
        (["trials", 1, "job"], "other", 'trials[1].job: expected the key of one of the plan\'s jobs, got "other"'),
        (["trials", 1, "kind"], "dance", 'trials[1].kind: expected preflight or measure or profile, got "dance"'),
        (["trials", 1, "kind"], ["measure"], "trials[1].kind: expected preflight or measure or profile, got a list"),
        (["measure", "runs_min"], 1.5, "measure.runs_min: expected a whole number, got 1.5"),
        (["measure", "seconds_max"], None, "measure.seconds_max: expected a number of at least 0, got null"),
        (["measure", "seconds_max"], float("nan"), "measure.seconds_max: expected a number of at least 0, got NaN"),
        (["measure", "seconds_max"], 10**400, "measure.seconds_max: expected a number of at least 0, got a number of"),
        (["limits", "trial_timeout_s"], -1, "limits.trial_timeout_s: expected a number of at least 0, got -1"),
        (
            ["limits", "temperature_c_max"],
            "hot",
            "limits.temperature_c_max: expected a number of at least 0",
        ),
        (["retries", "failed"], None, "retries.failed: expected a whole number, got null"),
        (["blobs", 0, "sha256"], "A" * 64, "blobs[0].sha256: expected a SHA-256 in lower-case hex"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(content, path, value, place):
    set_at(content, path, value)
    with pytest.raises(WorkerError) as refused:
        parse(content)
    assert refused.value.kind == "plan-invalid"
    assert str(refused.value).startswith(f"plan: {place}")


@pytest.mark.parametrize("key", ["device", "seed", "jobs", "trials", "measure", "limits", "retries", "blobs"])
def test_a_missing_part_is_named(content, key):
    del content[key]
    with pytest.raises(WorkerError, match=f"^plan: {key}: missing, expected "):
        parse(content)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (["jobs", 0], "engine"),
        (["jobs", 0], "model"),
        (["jobs", 0], "command"),
        (["trials", 1], "kind"),
        (["measure"], "runs_max"),
        (["limits"], "memory_bytes_max"),
        (["retries"], "invalid"),
        (["blobs", 0], "size"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_path_of_the_right_one(content, path, key):
    section = content
    for step in path:
        section = section[step]
    section[key + "s"] = section.pop(key)
    with pytest.raises(WorkerError, match=f"{key}: missing, expected ") as refused:
        parse(content)
    assert refused.value.kind == "plan-invalid"


def test_two_jobs_of_one_name_are_refused(content):
    content["jobs"].append(dict(content["jobs"][0]))
    with pytest.raises(WorkerError, match=r"jobs\[1\].job: expected another key for each job"):
        parse(content)


@pytest.mark.parametrize("data", [b"", b"\xff", b"not json", b"[]", b"null", b"3"])
def test_what_is_no_plan_at_all_is_refused(data):
    with pytest.raises(WorkerError) as refused:
        Plan.parse(data)
    assert refused.value.kind == "plan-invalid"


def test_another_protocol_is_told_before_anything_else(content):
    with pytest.raises(WorkerError) as refused:
        Plan.parse(b'{"protocol": 99}')
    assert refused.value.kind == "protocol-mismatch"


@pytest.mark.parametrize(
    "data", [b"[" * 200000, b"", b"\xff", b'{"protocol": 1, "device": "' + b"x" * 100000 + b'", "seed": "y"}']
)
def test_what_is_no_plan_is_refused_in_few_words(data):
    with pytest.raises(WorkerError) as raised:
        Plan.parse(data)
    assert len(str(raised.value)) <= 500
