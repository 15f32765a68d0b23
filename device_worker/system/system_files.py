"""Read the system's files and run the system's programs. An unreadable value is None.

With `BENCHFLEET_SYSFS_ROOT` set, all paths and programs are looked up below the named folder instead of "/". The
recorded tree of a board can so be replayed on any machine.
"""

from __future__ import annotations

import os

ROOT_VARIABLE = "BENCHFLEET_SYSFS_ROOT"
_CHUNK_BYTES = 16 << 10
_NUMBER_BYTES_MAX = 256  # to allocate a megabyte would cost more time than the reading of a number
_PROGRAM_FOLDERS = ("/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin", "/opt/vc/bin")


def resolve(path: str) -> str:
    """Return an absolute path below the replayed root, if a root is set."""
    return os.environ.get(ROOT_VARIABLE, "") + path


def exists(path: str) -> bool:
    """Return True if the file exists, readable or not."""
    return os.path.exists(resolve(path))


def read_text(path: str, bytes_max: int = 1 << 20) -> str | None:
    """Return a file's text without surrounding space and NULs, or None if the file is empty or unreadable."""
    try:
        # A device-tree string ends in a NUL.
        text = read_bytes(resolve(path), bytes_max).decode("utf-8", "replace").strip("\0 \t\r\n")
    except OSError:
        return None
    return text or None


def read_bytes(path: str, bytes_max: int = 1 << 20) -> bytes:
    """Return at most `bytes_max` bytes of a file. `path` is not looked up below a replayed root. Raise OSError."""
    # Not open(): its buffer and its five more system calls cost as much again, and a scan of /proc reads hundreds.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = more = os.read(fd, min(bytes_max, _CHUNK_BYTES))
        while more and len(data) < bytes_max:  # the kernel gives a longer file of /proc a page at a time
            more = os.read(fd, min(bytes_max - len(data), _CHUNK_BYTES))
            data += more
        return data
    finally:
        os.close(fd)


def read_line(path: str, bytes_max: int = 4096) -> bytes:
    """Return what a file of /proc gives at once. `path` is not looked up below a replayed root. Raise OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # A second read only says that the first was whole, and costs half as much again.
        return os.read(fd, bytes_max)
    finally:
        os.close(fd)


def read_int(path: str, base: int = 10) -> int | None:
    """Return the whole number in a file, or None if there is none."""
    return parse_int(read_text(path, _NUMBER_BYTES_MAX), base)


def parse_int(text: str | None, base: int = 10) -> int | None:
    """Return a text as a whole number, or None."""
    try:
        return None if text is None else int(text, base)
    except ValueError:
        return None


def parse_float(text: str | None) -> float | None:
    """Return a text as a number, or None."""
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def list_folder(path: str, prefix: str = "") -> list[str]:
    """Return the sorted paths of a folder with names beginning with `prefix`, or none if there is no such folder."""
    try:
        names = os.listdir(resolve(path))
    except OSError:
        return []
    return [f"{path}/{name}" for name in sorted(names) if name.startswith(prefix)]


def read_fields(path: str) -> dict[str, str]:
    """Return the first value of each `name : value` line of a file such as /proc/meminfo or /proc/cpuinfo."""
    fields: dict[str, str] = {}
    for line in (read_text(path) or "").split("\n"):
        name, colon, value = line.partition(":")
        if colon and value.strip():
            fields.setdefault(name.strip(), value.strip())
    return fields


def read_kib(path: str, field: str) -> int | None:
    """Return a field of a file such as /proc/meminfo in bytes, or None. The file has the value in kB (1024 bytes)."""
    _, _, value = ("\n" + (read_text(path) or "")).partition(f"\n{field}:")
    words = value.partition("\n")[0].split()
    kib = parse_int(words[0]) if words else None
    return None if kib is None else kib * 1024


def find_program(name: str) -> str | None:
    """Return the path of an installed program, or None."""
    # On a replayed root, the PATH of the replaying machine does not count.
    own_folders = [] if os.environ.get(ROOT_VARIABLE) else os.environ.get("PATH", "").split(":")
    for folder in (*own_folders, *_PROGRAM_FOLDERS):
        path = resolve(f"{folder}/{name}")
        if folder and os.access(path, os.X_OK):
            return path
    return None


def run_program(name: str, *arguments: str, timeout_s: float = 5.0) -> str | None:
    """Return the standard output of a program, or None if the program is missing, fails or takes too long."""
    path = find_program(name)
    if path is None:
        return None
    import subprocess  # here: the import costs a slow device milliseconds, and most processes run no program

    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=timeout_s,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()
