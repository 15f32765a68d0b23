"""Tell why the kernel refuses to start a program that is there.

The kernel says "No such file" of an interpreter or a loader that is missing, and "Permission denied" of a file system
that is mounted noexec. The first bytes of the file tell more. Source: execve(2), elf(5).
"""

from __future__ import annotations

import errno
import os
import struct
import sys

from device_worker.protocol.printable import printable
from device_worker.system import mounts

_HEAD_BYTES = 64 << 10  # loaders of programs stand in the first page
_LINE_BYTES_MAX = 256
_TEXT_MAX = 200
_HEADERS_MAX = 64
_ELF = b"\x7fELF"
_INTERPRETER_SEGMENT = 3
_BYTE_ORDER_MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
_LITTLE_ENDIAN = 1
_BITS = {1: 32, 2: 64}
_MACHINES = {
    3: "i386",
    8: "mips",
    20: "ppc",
    21: "ppc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv64",
    258: "loongarch64",
}
_SCRIPT_HINT = "does it begin with #!, such as #!/bin/sh?"


def explain_refusal(path: str | None, error: OSError) -> str | None:
    """Return why a program that is there could not be started, or None for a reason that the error itself tells."""
    head = None if path is None else _read_head(path)
    if path is None or head is None:
        return None
    if error.errno == errno.ENOENT:
        return _explain_missing(head)
    if error.errno == errno.EACCES:
        return _explain_denied(path, head)
    if error.errno in (errno.ENOEXEC, errno.ELIBBAD, errno.EINVAL):
        return _explain_format(head)
    return None


def find_program(word: str, folder: str, environment: dict[str, str]) -> str | None:
    """Return the file that a command's first word means in a folder, runnable or not, or None without such a file."""
    for place in [""] if "/" in word else os.get_exec_path(environment):
        path = os.path.join(folder, place, word)
        if os.path.isfile(path):
            return path
    return None


def _read_head(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read(_HEAD_BYTES)
    except OSError:
        return None


def _explain_missing(head: bytes) -> str | None:
    if head.startswith(b"#!"):
        interpreter = _interpreter_of(head)
        if interpreter.endswith(b"\r"):
            looked_for = interpreter.decode("utf-8", "replace")[:_TEXT_MAX]
            return (
                "its first line ends with a carriage return, as Windows writes lines, so that the kernel looks for the "
                f"interpreter {looked_for!r}: save it with Unix line ends (sed -i 's/\\r$//')"
            )
        return f"its interpreter {_text(interpreter)} is not on the device: install it there, or change its #! line"
    loader = _loader_of(head)
    if loader is None:
        return None
    foreign = _foreign(head)
    libc = f"; {_libc_of(loader)}" if foreign is None else f"; {foreign}"
    return f"it is a program for another system: its loader {_text(loader)} is not on the device{libc}"


def _explain_denied(path: str, head: bytes) -> str | None:
    if mounts.is_noexec(path):
        folder = os.path.dirname(os.path.realpath(path))
        return f"{folder} is on a file system that is mounted noexec: set state_dir to another one, or remount it exec"
    program = os.fsdecode(_interpreter_of(head)) if head.startswith(b"#!") else ""
    if program and os.path.exists(program) and not os.access(program, os.X_OK):
        return f"its interpreter {_text(os.fsencode(program))} may not be run by this user, or is no program"
    return None


def _explain_format(head: bytes) -> str | None:
    if not head:
        return "the file is empty"
    for mark in _BYTE_ORDER_MARKS:
        if head.startswith(mark):
            return "it begins with a byte order mark, in front of any #!: save it as plain UTF-8"
    if head.startswith(_ELF):
        return _foreign(head) or "the file is damaged, or was cut: the kernel cannot load it"
    if b"\0" in head[:_LINE_BYTES_MAX]:
        return "it is no program of Linux"
    return f"the kernel knows no interpreter for it: {_SCRIPT_HINT}"


def _interpreter_of(head: bytes) -> bytes:
    """Return the path behind #!, with a carriage return if the line ends with one."""
    line = head[2:].partition(b"\n")[0][:_LINE_BYTES_MAX].lstrip(b" \t")
    for place in range(len(line)):
        if line[place : place + 1] in b" \t":
            return line[:place]
    return line


def _foreign(head: bytes) -> str | None:
    """Return the words for a program of another word size, byte order or processor, or None for one of our own kind."""
    theirs, ours = _kind_of(head), _kind_of(_read_head(sys.executable) or b"")
    if theirs is None or ours is None or theirs == ours:
        return None
    return f"it is a program for {theirs}, and this system runs {ours}"


def _kind_of(head: bytes) -> str | None:
    order = _order_of(head)
    if order is None:
        return None
    (machine,) = struct.unpack_from(order + "H", head, 18)
    bits = _BITS.get(head[4], "?")
    return f"{_MACHINES.get(machine, f'machine {machine}')} ({bits} bit)"


def _loader_of(head: bytes) -> bytes | None:
    """Return the path of a program's loader: of the segment PT_INTERP, or None for a static program."""
    order = _order_of(head)
    if order is None:
        return None
    try:
        if head[4] == 2:
            (table,), (size, count) = (
                struct.unpack_from(order + "Q", head, 32),
                struct.unpack_from(order + "HH", head, 54),
            )
            fields, places = order + "IIQQQQ", (2, 5)
        else:
            (table,), (size, count) = (
                struct.unpack_from(order + "I", head, 28),
                struct.unpack_from(order + "HH", head, 42),
            )
            fields, places = order + "IIIII", (1, 4)
        for index in range(min(count, _HEADERS_MAX)):
            segment = struct.unpack_from(fields, head, table + index * size)
            if segment[0] == _INTERPRETER_SEGMENT:
                at, length = segment[places[0]], segment[places[1]]
                return head[at : at + min(length, _LINE_BYTES_MAX)].rstrip(b"\0") or None
    except (struct.error, OverflowError):  # cut, or nonsense
        pass
    return None


def _order_of(head: bytes) -> str | None:
    if not head.startswith(_ELF) or len(head) < 20 or head[4] not in _BITS:
        return None
    return "<" if head[5] == _LITTLE_ENDIAN else ">"


def _libc_of(loader: bytes) -> str:
    name = loader.rpartition(b"/")[2]
    libc = (
        "musl (Alpine)" if name.startswith(b"ld-musl") else "Android" if name.startswith(b"linker") else "another libc"
    )
    return f"it was built for {libc}; build it for this one, or statically"


def _text(path: bytes) -> str:
    return printable(path)[:_TEXT_MAX]
