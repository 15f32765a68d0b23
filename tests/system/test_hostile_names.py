"""Names that a shell would obey, over real SSH and both kinds of shell: they are names, and nothing else happens."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import OK_PROGRAM, Lab
from tests.servers.sshd import NO_STARTUP_FILES, SshServer

pytestmark = [pytest.mark.system, pytest.mark.timeout(400)]

NAME = 'it\'s "a" $(touch pwned) `touch pwned` ; touch pwned & ${HOME} * ~ \\ 模型 -x'
WORDS = [NAME, "-rf", "--", "", "new\nline; touch pwned", "tab\there", "$(touch pwned)", "!!", "*", "\x1b[2J"]


@pytest.fixture(params=["bash", "dash"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """An sshd whose clients' commands are understood by this shell."""
    shell = shutil.which(request.param)
    if shell is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp("sshd")
    with SshServer(folder, environment=NO_STARTUP_FILES, shell=shell) as started:
        yield started


def test_names_that_a_shell_would_obey_are_names(tmp_path: Path, server: SshServer) -> None:
    lab = Lab(tmp_path)
    lab.trust(server)
    python = tmp_path / "bin" / f"python {NAME}"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    state_dir = tmp_path / "devices" / NAME
    lab.add_ssh("pi-01", server, python=str(python), state_dir=str(state_dir))
    lab.write(
        f"programs/{NAME}", '#!/bin/sh\nprintf \'%s\\0\' "$@" > words\ncp words "$BENCHFLEET_WORDS"\n' + OK_PROGRAM
    )
    kept = tmp_path / "words"
    program = lab.directory / "programs" / NAME
    program.write_text(program.read_text().replace('"$BENCHFLEET_WORDS"', f"'{kept}'"))
    runtime = {"exec": {"name": "named", "command": [NAME, *WORDS], "files": [f"programs/{NAME}"]}}

    done = lab.run("run", str(lab.write_exec_sweep(runtimes=[runtime])))

    assert done.returncode == 0, done.stderr
    assert lab.counts("pi-01") == [1, 1, 1]
    assert kept.read_bytes().split(b"\0")[:-1] == [word.encode() for word in WORDS]
    assert (state_dir / "blobs").is_dir()
    assert_nothing_happened(lab)


@pytest.mark.parametrize("run", [NAME, "../../etc", "-rf", "a' OR '1'='1", "x\ny"])
def test_a_run_by_such_a_name_is_not_there(tmp_path: Path, run: str) -> None:
    lab = Lab(tmp_path)
    assert lab.run("db", "upgrade").returncode == 0
    done = lab.run("runs", "show", "--", run)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.splitlines()) <= 2
    assert_nothing_happened(lab)


@pytest.mark.parametrize("name", ["$(touch pwned)", "-x", "a b", "a\nb", "`id`", "模型", "a;b", "../a"])
def test_a_device_by_such_a_name_is_refused(tmp_path: Path, name: str) -> None:
    lab = Lab(tmp_path)
    lab.write("inventory/lab.yaml", json.dumps({"devices": {name: {"host": "10.0.0.1"}}}))
    done = lab.run("devices", "list")
    assert done.returncode == 2
    assert "lab.yaml:1: " in done.stderr
    assert_nothing_happened(lab)


def assert_nothing_happened(lab: Lab) -> None:
    places = [lab.directory, Path.home(), Path.cwd(), Path("/")]
    assert [place for place in places if (place / "pwned").exists()] == []
    assert list(lab.directory.rglob("pwned")) == []
