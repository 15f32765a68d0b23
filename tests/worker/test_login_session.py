"""Where a logout ends a user's processes. There is no systemd here: programs of two lines stand in for its own."""

import os

import pytest

from device_worker.protocol.errors import WorkerError
from device_worker.system import login_session
from fixture_trees import write_file, write_program, write_tree

IN_SESSION = "0::/user.slice/user-1000.slice/session-3.scope\n"
IN_SERVICE = "0::/system.slice/ssh.service\n"
KILLS = {"etc/systemd/logind.conf": "[Login]\nKillUserProcesses=yes\n"}

STAND_IN_BUSCTL = """#!/bin/sh
echo "$@" >> {root}/busctl-was-asked
for word; do case $word in *.scope) scope=$word;; esac; done
echo "0::/user.slice/user-1000.slice/user@1000.service/app.slice/$scope" > {root}/proc/{pid}/cgroup
echo 'o "/org/freedesktop/systemd1/job/7"'
"""


class StandInSystemd:
    """A tree with the settings of a login manager, and stand-ins for the programs that talk to it."""

    def __init__(self, root, monkeypatch):
        self.root = str(root)
        self.cgroup = f"proc/{os.getpid()}/cgroup"
        write_tree(root, dict(KILLS, **{self.cgroup: IN_SESSION}))
        monkeypatch.setenv("BENCHFLEET_SYSFS_ROOT", self.root)
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)

    def install_loginctl(self, linger):
        write_program(self.root, "usr/bin/loginctl", f'#!/bin/sh\n[ "$1" = show-user ] && echo {linger}\n')

    def install_busctl(self, script=STAND_IN_BUSCTL):
        write_program(self.root, "usr/bin/busctl", script.format(root=self.root, pid=os.getpid()))

    def set_cgroup(self, text):
        write_file(self.root, self.cgroup, text)

    @property
    def was_asked(self):
        try:
            with open(os.path.join(self.root, "busctl-was-asked")) as file:
                return file.read().split()
        except FileNotFoundError:
            return []


@pytest.fixture
def systemd(tmp_path, monkeypatch):
    return StandInSystemd(tmp_path / "root", monkeypatch)


def test_a_runner_moves_to_a_scope_of_its_users_manager_where_the_user_lingers(systemd):
    systemd.install_loginctl("yes")
    systemd.install_busctl()
    assert login_session.is_in_login_session(os.getpid())
    login_session.leave_login_session(os.getpid())
    asked = systemd.was_asked
    assert asked[:2] == ["--user", "call"]
    assert asked[asked.index("PIDs") :] == ["PIDs", "au", "1", str(os.getpid()), "0"]
    assert not login_session.is_in_login_session(os.getpid())
    assert os.environ["XDG_RUNTIME_DIR"] == f"/run/user/{os.getuid()}"


def test_without_lingering_it_is_refused_with_the_remedy(systemd):
    systemd.install_loginctl("no")
    systemd.install_busctl()
    with pytest.raises(WorkerError) as refused:
        login_session.leave_login_session(os.getpid())
    assert refused.value.kind == "login-ends-runner"
    assert "loginctl enable-linger" in refused.value.hint
    assert systemd.was_asked == []


@pytest.mark.parametrize("busctl", [None, "#!/bin/sh\nexit 1\n"])
def test_a_manager_that_does_not_take_it_is_a_refusal(systemd, busctl):
    systemd.install_loginctl("yes")
    if busctl is not None:
        systemd.install_busctl(busctl)
    with pytest.raises(WorkerError, match="refuses the runner"):
        login_session.leave_login_session(os.getpid())


def test_a_job_that_comes_to_nothing_is_found_out(systemd, monkeypatch):
    """The answer to the call only names a job; what counts is where the kernel says that the process is."""
    monkeypatch.setattr(login_session, "_MOVE_S_MAX", 0.1)
    systemd.install_loginctl("yes")
    systemd.install_busctl("#!/bin/sh\necho 'o \"/job/7\"'\n")
    with pytest.raises(WorkerError, match="refuses the runner"):
        login_session.leave_login_session(os.getpid())


@pytest.mark.parametrize("cgroup", [IN_SERVICE, "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope\n"])
def test_what_no_logout_reaches_is_left_where_it_is(systemd, cgroup):
    systemd.set_cgroup(cgroup)
    systemd.install_busctl()
    login_session.leave_login_session(os.getpid())
    assert systemd.was_asked == []


def test_where_a_logout_spares_processes_nobody_is_asked(systemd):
    write_file(systemd.root, "etc/systemd/logind.conf", "[Login]\nKillUserProcesses=no\n")
    systemd.install_busctl()
    login_session.leave_login_session(os.getpid())
    assert systemd.was_asked == []


def test_lingering_is_read_from_its_folder_where_nobody_tells_of_a_user_that_is_not_logged_in(systemd):
    assert login_session.lingers() is None
    os.makedirs(os.path.join(systemd.root, "var/lib/systemd/linger"))
    assert login_session.lingers() is False
    write_file(systemd.root, f"var/lib/systemd/linger/{login_session._user_name()}", "")
    assert login_session.lingers() is True
