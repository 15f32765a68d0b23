"""Programs that are there and cannot be started: the first cause is told, of real files that the kernel refuses."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from device_worker.system.executables import explain_refusal
from worker_client import REPOSITORY, trials_of

TRUE = os.path.realpath(shutil.which("true"))
OK = 'echo \'{"metric": "latency_ns", "samples": [5, 6]}\'\necho \'{"done": true}\'\n'


def program_with(header, at):
    """Return a real program of this machine with other bytes in its ELF header."""
    with open(TRUE, "rb") as file:
        content = bytearray(file.read())
    content[at : at + len(header)] = header
    return bytes(content)


def with_loader(loader):
    """Return a real program that asks for another loader, of the same length or shorter."""
    with open(TRUE, "rb") as file:
        content = file.read()
    begin = content.index(b"/lib", 0, 4096)
    end = content.index(b"\0", begin)
    return content[:begin] + loader.ljust(end - begin, b"\0") + content[end:]


CASES = {
    "carriage returns": (b"#!/bin/sh\r\necho hello\r\n", "ends with a carriage return.*'/bin/sh\\\\r'.*Unix line ends"),
    "an interpreter that is not there": (
        b"#!/opt/none/python2 -u\nprint 1\n",
        "interpreter /opt/none/python2 is not on",
    ),
    "a byte order mark": (b"\xef\xbb\xbf#!/bin/sh\n" + OK.encode(), "byte order mark"),
    "UTF-16": ("#!/bin/sh\n".encode("utf-16"), "byte order mark"),
    "no interpreter": (OK.encode(), "knows no interpreter for it: does it begin with #!"),
    "nothing": (b"", "the file is empty"),
    "another processor": (
        program_with(b"\xb7\x00" if os.uname().machine != "aarch64" else b"\x3e\x00", 18),
        "program for",
    ),
    "a cut program": (program_with(b"", 0)[:64], "damaged, or was cut"),
    "another libc": (with_loader(b"/lib/ld-musl-arm.so.1"), "its loader /lib/ld-musl-arm.so.1 is not.*musl"),
    "Windows": (b"MZ\x90\x00\x03\x00\x00\x00\x04\x00", "no program of Linux"),
}


@pytest.mark.parametrize("case", sorted(CASES))
def test_a_program_that_the_kernel_refuses_says_why(device, plans, case):
    content, words = CASES[case]
    file = plans.add_file("program", content)
    plans.add_job("job", command=["program"], files=[file])
    plans.add_trials("job", 1)
    (finished,) = trials_of(device.execute("run-1", plans))
    failure = finished["failure"]
    assert failure["kind"] == "could-not-start"
    assert failure["message"].startswith("./program: ")
    assert re.search(words, failure["message"]), failure["message"]


def test_a_program_that_is_not_there_is_said_to_be_missing(device, plans):
    plans.add_job("job", command=["no-such-program"])
    plans.add_trials("job", 1)
    (finished,) = trials_of(device.execute("run-1", plans))
    assert "No such file or directory: 'no-such-program'" in finished["failure"]["message"]


def test_a_shell_that_chokes_on_carriage_returns_is_understood(device, plans):
    plans.add_program("job", "#!/bin/sh -e\nno-such-command\r\n")
    (finished,) = trials_of(device.execute("run-1", plans))
    assert finished["failure"]["kind"] == "exit-code"
    assert "Unix line ends" in finished["failure"]["message"]


def test_a_word_size_is_told():
    kind = 1 if sys.maxsize > 1 << 32 else 2
    content = program_with(bytes([kind]), 4)
    reason = explain(content, 8)
    assert f"({32 if kind == 1 else 64} bit)" in reason


def explain(content, number, tmp="/tmp"):
    path = os.path.join(tmp, f"benchfleet-test-{os.getpid()}")
    with open(path, "wb") as file:
        file.write(content)
    try:
        return explain_refusal(path, OSError(number, os.strerror(number)))
    finally:
        os.remove(path)


def test_a_noexec_mount_is_a_fact_and_the_reason_of_a_failure(connect, plans, noexec):
    device = connect(state_dir=str(noexec / "state"))
    assert device.ask("facts")["facts"]["health"]["noexec"] is True
    plans.add_program("job", "#!/bin/sh\n" + OK)
    (finished,) = trials_of(device.execute("run-1", plans))
    assert "mounted noexec: set state_dir to another one" in finished["failure"]["message"]


def test_a_library_on_a_noexec_mount_is_the_first_cause(noexec):
    """As numpy does: the package catches the cause, and speaks of something else."""
    with open("/proc/self/maps") as maps:
        # Not just any library: a process that has run for long has very large ones, and ones that are deleted.
        library = next(line.split()[-1] for line in maps if re.search(r"/libc[.-]", line))
    shutil.copy(library, str(noexec / "_fancy.so"))
    package = noexec / "fancy.py"
    package.write_text(
        "try:\n    import _fancy\nexcept ImportError as e:\n"
        "    raise ImportError('you should not try to import it from its source directory') from e\n"
    )
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from device_worker.trial.causes import describe\n"
        "try: import fancy\nexcept ImportError as error: print(describe(error))\n"
    )
    command = [sys.executable, "-c", code, str(noexec)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True, cwd=REPOSITORY).stdout.decode()
    first, _, last = said.partition(", which led to ")
    assert "failed to map segment" in first
    assert "source directory" in last
