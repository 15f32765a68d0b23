"""Plans that are refused, with the place of what is wrong."""

import json

import pytest

from device_worker.errors import WorkerError
from device_worker.plan import Plan


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
    assert [trial["trial"] for trial in plan.trials] == ["job.1", "job.2"]


def test_fields_of_a_later_controller_are_ignored(content):
    content["colour"] = "blue"
    content["jobs"][0]["flavour"] = ["new"]
    assert parse(content).jobs["job"]["flavour"] == ["new"]


def set_at(content, path, value):
    for key in path[:-1]:
        content = content[key]
    content[path[-1]] = value


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["device"], 3, "device is 3"),
        (["seed"], "7", "seed is '7'"),
        (["seed"], True, "seed is True"),
        (["jobs"], None, "jobs is None"),
        (["jobs", 0], "x", r"jobs\[0\] is not an object"),
        (["jobs", 0, "engine"], None, r"jobs\[0\].engine"),
        (["jobs", 0, "settings"], [], r"jobs\[0\].settings"),
        (["jobs", 0, "command"], None, r"jobs\[0\].command is missing"),
        (["jobs", 0, "command"], "./program", r"jobs\[0\].command"),
        (["jobs", 0, "command"], ["a\0b"], r"jobs\[0\].command"),
        (["jobs", 0, "python_path"], ["../x"], r"jobs\[0\].python_path\[0\]"),
        (["jobs", 0, "files", 0, "name"], "../x", r"jobs\[0\].files\[0\].name"),
        (["jobs", 0, "files", 0, "name"], "..", "not a plain file name"),
        (["jobs", 0, "files", 0, "name"], "net", "two different files named 'net'"),
        (["jobs", 0, "files", 0, "sha256"], "abc", r"files\[0\].sha256"),
        (["jobs", 0, "model", "size"], -1, r"jobs\[0\].model.size"),
        (["trials", 1, "trial"], "job.1", "'job.1' is there twice"),
        (["trials", 1, "job"], "other", "'other' is not among its jobs"),
        (["trials", 1, "kind"], "dance", r"trials\[1\].kind is 'dance'"),
        (["measure", "runs_min"], 1.5, "measure.runs_min"),
        (["measure", "seconds_max"], None, "measure.seconds_max"),
        (["limits", "trial_timeout_s"], -1, "limits.trial_timeout_s"),
        (["limits", "temperature_c_max"], "hot", "limits.temperature_c_max"),
        (["retries", "failed"], None, "retries.failed"),
        (["blobs", 0, "sha256"], "A" * 64, r"blobs\[0\].sha256"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(content, path, value, place):
    set_at(content, path, value)
    with pytest.raises(WorkerError, match=place) as refused:
        parse(content)
    assert refused.value.kind == "plan-invalid"


@pytest.mark.parametrize("key", ["device", "seed", "jobs", "trials", "measure", "limits", "retries", "blobs"])
def test_a_missing_part_is_named(content, key):
    del content[key]
    with pytest.raises(WorkerError, match=f"{key} is missing"):
        parse(content)


def test_two_jobs_of_one_name_are_refused(content):
    content["jobs"].append(dict(content["jobs"][0]))
    with pytest.raises(WorkerError, match="not all different"):
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
