"""The loader, as `python -c` runs it, on every Python that is at hand."""

import glob
import os
import re
import stat
import subprocess
import sys

import pytest

import worker_client
from worker_client import loader_command, parse_loader_lines

OLD_PYTHONS = sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/*/bin/python")))
OLD_PYTHONS = [path for path in OLD_PYTHONS if re.search(r"/(2\.|3\.[0-6]\.)", path)]


def run_loader(state_dir, worker, given=None, python=sys.executable):
    given = worker if given is None else given
    done = subprocess.run(
        loader_command(state_dir, worker, python),
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        timeout=30,
    )
    return done, parse_loader_lines(done.stdout)


def test_a_first_connection_ships_the_worker_and_a_second_one_does_not(connect, fresh_dir, worker_zip):
    first = connect(state_dir=fresh_dir)
    assert first.loader == {
        "have": False,
        "python": ".".join(map(str, sys.version_info[:3])),
        "state_dir": fresh_dir,
    }
    assert first.hello["type"] == "hello"
    assert first.hello["worker_sha256"] == worker_client.sha256_of(worker_zip)
    assert first.hello["protocol"] == 1
    assert connect(state_dir=fresh_dir).loader["have"] is True


def test_the_state_folder_is_private(connect, fresh_dir):
    connect(state_dir=fresh_dir)
    assert stat.S_IMODE(os.stat(fresh_dir).st_mode) == 0o700
    for folder, _, names in os.walk(fresh_dir):
        for name in names:
            assert not os.stat(os.path.join(folder, name)).st_mode & 0o077


def test_bytecode_is_kept_so_that_later_starts_compile_nothing(connect, fresh_dir):
    connect(state_dir=fresh_dir)
    cached = glob.glob(os.path.join(fresh_dir, "worker", "*", "device_worker", "serving", "__pycache__", "*.pyc"))
    assert any("conversation" in path for path in cached)


def test_a_tilde_is_the_home_of_the_device(connect, tmp_path):
    client = connect(state_dir="~/deep/state", environment={"HOME": str(tmp_path)})
    assert client.loader["state_dir"] == str(tmp_path / "deep" / "state")


def test_no_module_of_the_login_folder_is_imported(connect, tmp_path):
    for name in ("json", "os", "zipfile", "select", "device_worker"):
        (tmp_path / (name + ".py")).write_text("raise SystemExit('a module of the login folder')")
    assert connect(cwd=str(tmp_path)).hello["type"] == "hello"


def test_what_a_login_profile_prints_does_not_hide_the_line(connect):
    client = connect(prefix=["sh", "-c", 'printf "welcome, no newline"; exec "$@"', "sh"])
    assert client.hello["type"] == "hello"


def test_a_worker_that_arrives_damaged_is_refused_and_nothing_stays(fresh_dir, worker_zip):
    done, lines = run_loader(fresh_dir, worker_zip, worker_zip[:-1] + b"!")
    assert [line.get("error") for line in lines] == [None, "blob-corrupt"]
    assert done.returncode == 1
    assert os.listdir(os.path.join(fresh_dir, "worker")) == []


def test_a_link_that_drops_in_mid_worker_leaves_nothing_behind(fresh_dir, worker_zip):
    done, lines = run_loader(fresh_dir, worker_zip, worker_zip[:1000])
    assert (done.returncode, len(lines)) == (1, 1)
    assert os.listdir(os.path.join(fresh_dir, "worker")) == []


def test_a_state_folder_that_cannot_be_made_is_an_error_with_a_kind(tmp_path, worker_zip):
    blocked = tmp_path / "file"
    blocked.write_text("")
    done, lines = run_loader(str(blocked / "state"), worker_zip)
    assert [line["error"] for line in lines] == ["state-dir-unusable"]
    assert str(blocked) in lines[0]["message"]
    assert done.returncode == 1


def test_a_state_folder_that_others_may_write_is_refused(tmp_path, worker_zip):
    tmp_path.chmod(0o777)
    done, lines = run_loader(str(tmp_path), worker_zip)
    assert [line["error"] for line in lines] == ["state-dir-unusable"]
    assert done.returncode == 1


def test_two_connections_that_ship_at_once_both_become_workers(fresh_dir, worker_zip):
    command = loader_command(fresh_dir, worker_zip)
    both = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    for process in both:
        process.stdin.write(worker_zip)
        process.stdin.flush()
    for process in both:
        out, _ = process.communicate(timeout=30)
        assert b'"type":"hello"' in out
        assert process.returncode == 0
    assert len(os.listdir(os.path.join(fresh_dir, "worker"))) == 1


@pytest.mark.parametrize("python", OLD_PYTHONS or [None])
def test_a_python_too_old_says_its_version_and_leaves_no_trace(python, fresh_dir, worker_zip):
    if python is None:
        pytest.skip("no Python older than 3.7 under ~/.pyenv/versions")
    done, lines = run_loader(fresh_dir, worker_zip, b"", python)
    assert done.returncode == 0, done.stderr
    assert [line["python"] for line in lines] == [re.search(r"/versions/([^/]+)/", python).group(1)]
    assert not os.path.exists(fresh_dir)


def test_the_loader_stays_small_enough_for_a_command_line():
    # Dropbear takes 9,000 bytes, and the loader travels as Base64: tests/unit/session/test_start_line.py.
    assert len(worker_client.loader_source()) < 5600
