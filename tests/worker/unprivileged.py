"""An ordinary user of the device, and a program that runs as root, as under sudo. Only root can make them."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile

import pytest

NOBODY = 65534
_SETPRIV = shutil.which("setpriv")
AS_NOBODY = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")


class Home:
    """A folder that an ordinary user can reach, with a setuid copy of setpriv in the place of sudo."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="benchfleet-nobody-", dir="/tmp")
        os.chmod(self.path, 0o777)
        self.state_dir = os.path.join(self.path, "state")
        self.python = _python_of_nobody()
        self._sudo = os.path.join(self.path, "sudo")
        if _SETPRIV is not None:
            shutil.copy(_SETPRIV, self._sudo)
            os.chmod(self._sudo, 0o4755)

    def as_root(self, words):
        """Return the words of a shell that run a program as root: real, effective and saved user, as sudo does."""
        return f"{self._sudo} --reuid=0 --regid=0 --clear-groups {words}"

    def why_not(self):
        """Return why there can be no such user here, or None."""
        if os.geteuid() != 0:
            return "needs root, to be another user and to make a setuid program"
        if _SETPRIV is None:
            return "needs setpriv of util-linux"
        if self.python is None:
            return "no Python here can be run by an ordinary user"
        command = [*AS_NOBODY, "sh", "-c", self.as_root("id -u")]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        return None if done.stdout == b"0\n" else "a setuid program has no power here"

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def _python_of_nobody():
    for python in (sys.executable, "/usr/bin/python3"):
        test = "import sys; sys.exit(sys.version_info < (3, 7))"
        if _SETPRIV and subprocess.run([*AS_NOBODY, python, "-c", test], stderr=subprocess.DEVNULL).returncode == 0:
            return python
    return None


def make_home():
    """Yield the home of an ordinary user, for a fixture. Skip the test where there cannot be such a user."""
    # One at a time: root's processes do not tell an ordinary user on which machine of the tests they run.
    with open(os.path.join(tempfile.gettempdir(), "benchfleet-nobody.lock"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        made = Home()
        try:
            reason = made.why_not()
            if reason is not None:
                pytest.skip(reason)
            yield made
        finally:
            made.remove()
