"""What a login has in its environment reaches no trial unasked; what a trial has is on record."""

import hashlib
import json
import os
import sys

import pytest

from device_worker.runner.environment import THREADS, TrialEnvironment, find_locale
from worker_client import Refused, trials_of

LOGIN = {
    "OMP_NUM_THREADS": "1",
    "OMP_PROC_BIND": "close",
    "MKL_DYNAMIC": "FALSE",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "GOMP_CPU_AFFINITY": "0",
    "LD_PRELOAD": "",
    "MALLOC_ARENA_MAX": "1",
    "GLIBC_TUNABLES": "glibc.malloc.check=0",
    "PYTHONHASHSEED": "7",
    "PYTHONOPTIMIZE": "2",
    "PYTHONMALLOC": "malloc",
    "PYTHONPYCACHEPREFIX": "/tmp/nowhere/bytecode",
    "PYTHONDONTWRITEBYTECODE": "1",
    "LC_NUMERIC": "de_DE.UTF-8",
    "LANG": "de_DE.UTF-8",
    "LANGUAGE": "de",
    "TZ": "Asia/Tokyo",
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "*",
    "SOMETHING_UNHEARD_OF": "1",
    "API_TOKEN": "hunter2",
}
SEEING = (
    f"#!{sys.executable} -I\n"
    "import json, os\n"
    "told = {name: value for name, value in os.environ.items() if name != 'BENCHFLEET_PADDING'}\n"
    "open(os.path.join(os.environ['HOME'], os.environ['BENCHFLEET_VARIANT'] + '.json'), 'w').write(json.dumps(told))\n"
    "print(json.dumps({'metric': 'm', 'value': 1}))\n"
    "print(json.dumps({'done': True}))\n"
)


@pytest.fixture
def seen(connect, plans, tmp_path):
    """A function that runs one program on a device with that login, and returns its environment and its record."""

    def run(environment=None, **fields):
        worker = connect(environment=dict(LOGIN, HOME=str(tmp_path)))
        if environment is not None:
            plans.plan["environment"] = environment
        plans.add_program("job", SEEING, **fields)
        (finished,) = trials_of(worker.execute("run-1", plans))
        assert finished["outcome"] == "ok", finished["failure"]
        return json.loads((tmp_path / "fp32.json").read_text()), finished["conditions"]["environment"]

    return run


def test_a_trial_has_nothing_of_the_login_but_where_things_are(seen):
    has, record = seen()
    assert set(LOGIN) & set(has) == set()
    assert has["LC_ALL"] == record["locale"] == find_locale()
    assert has["PATH"] == os.environ["PATH"]
    known = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_RUNTIME_DIR", "LD_LIBRARY_PATH", "LC_ALL"}
    unknown = {name for name in has if name not in known and not name.startswith(("BENCHFLEET_", "PYTHON"))}
    assert unknown == set()
    assert "threads" not in record
    left_out = set(record["left_out"])
    assert {"OMP_NUM_THREADS", "TF_ENABLE_ONEDNN_OPTS", "http_proxy", "PYTHONHASHSEED", "LC_NUMERIC"} <= left_out
    assert "API_TOKEN" not in left_out
    assert "hunter2" not in json.dumps(record)


def test_libraries_are_told_the_cells_number_of_threads(seen):
    has, record = seen(settings={"threads": 3})
    assert {has[name] for name in THREADS} == {"3"}
    assert record["threads"] == 3


def test_what_the_sweep_asks_for_is_set_or_passed_on_and_no_secret_is_recorded(seen):
    asked = {"OMP_PROC_BIND": "spread", "OMP_NUM_THREADS": "2", "API_TOKEN": None, "MISSING": None, "LC_ALL": "C"}
    has, record = seen(environment=asked, settings={"threads": 3})
    assert (has["OMP_PROC_BIND"], has["OMP_NUM_THREADS"], has["MKL_NUM_THREADS"]) == ("spread", "2", "3")
    assert (has["API_TOKEN"], has["LC_ALL"]) == ("hunter2", "C")
    assert "MISSING" not in has
    told = "sha256:" + hashlib.sha256(b"hunter2").hexdigest()[:12]
    assert record["passed"] == {"API_TOKEN": told, "MISSING": None}
    assert "hunter2" not in json.dumps(record)


@pytest.mark.parametrize("asked", [{"A": 1}, {"A=B": "x"}, {"": "x"}, {"A": "\0"}, ["A"]])
def test_a_plan_whose_environment_is_none_is_refused(device, plans, asked):
    plans.plan["environment"] = asked
    plans.add_program("job", SEEING)
    with pytest.raises(Refused) as refused:
        device.start("run-1", plans)
    assert refused.value.kind == "plan-invalid"


def test_an_isolated_python_has_no_places_of_the_logins_packages():
    login = {"PYTHONPATH": "/a", "PATH": "/bin"}
    made, _ = TrialEnvironment({}, login).make(threads=1, is_isolated=True)
    assert "PYTHONPATH" not in made
    made, _ = TrialEnvironment({}, login).make(threads=1, is_isolated=False)
    assert made["PYTHONPATH"] == "/a"


def test_a_worker_keeps_no_bytecode_where_a_login_wants_it(connect, plans, tmp_path):
    prefix = tmp_path / "bytecode"
    worker = connect(environment={"PYTHONPYCACHEPREFIX": str(prefix)})
    plans.add_program("job", SEEING)
    trials_of(worker.execute("run-1", plans))
    # What Python imports before its first line of ours is Python's own.
    assert [str(path) for path in prefix.rglob("*.pyc") if "device_worker" in str(path)] == []


@pytest.mark.parametrize(
    "told",
    [
        {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
        {"PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0", "LC_ALL": "C"},
        {"PYTHONOPTIMIZE": "2", "PYTHONUNBUFFERED": "1", "PYTHONINSPECT": "1"},
        {"PYTHONVERBOSE": "1", "PYTHONPROFILEIMPORTTIME": "1", "PYTHONMALLOC": "debug"},
        {"PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1", "PYTHONCASEOK": "1", "PYTHONSTARTUP": "/dev/null"},
    ],
    ids=lambda told: next(iter(told)),
)
def test_whatever_a_login_tells_python_the_worker_measures_the_same(connect, plans, told):
    worker = connect(environment=told)
    plans.add_program("job", SEEING.replace("os.environ['HOME']", "'.'"))
    (finished,) = trials_of(worker.execute("run-1", plans))
    assert (finished["outcome"], finished["metrics"]) == ("ok", [{"name": "m", "value": 1}])
    assert finished["conditions"]["environment"]["locale"] == find_locale()
