"""Become the worker. The source text is sent to `python -c`, and must run in every Python since 2.6.

The zip is unpacked, since zipimport would compile all modules at each start.
"""

import sys

if __name__ == "__main__":
    sys.path[:] = [entry for entry in sys.path if entry]  # the login folder may have a json.py
import errno, json, os  # noqa: E401, I001


def say(state_dir, **line):
    # type: (str, object) -> int
    """Print JSON, and return the exit code: 1 for an error."""
    line.update(python="%d.%d.%d" % sys.version_info[:3], state_dir=state_dir)
    # A login script may have begun a line.
    os.write(1, ("\nbenchfleet-loader " + json.dumps(line, sort_keys=True) + "\n").encode("ascii"))
    return 1 if "error" in line else 0


def receive(size):
    # type: (int) -> bytes
    """Read exactly `size` bytes: those after are the conversation's."""
    data = b""
    while len(data) < size:
        chunk = os.read(0, size - len(data))
        if not chunk:
            sys.exit(1)
        data += chunk
    return data


def install(data, home):
    # type: (bytes, str) -> None
    """Unpack the worker beside `home`, and rename it once on the disk."""
    import struct  # the import of zipfile takes longer than all of this

    at, partial, paths = 0, "%s.%d.partial" % (home, os.getpid()), []
    try:
        while data[at : at + 4] == b"PK\3\4":
            size, name, extra = struct.unpack_from("<22xIHH", data, at)
            at += 30 + name
            path = os.path.join(partial, data[at - name : at].decode())
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data[at + extra : at + extra + size])
            paths.append(path)
            at += extra + size
        for path in paths:  # all are written: one commit serves many
            with open(path, "rb") as file:
                os.fsync(file)
        os.rename(partial, home)
    except OSError:
        import shutil

        shutil.rmtree(partial, ignore_errors=True)
        if not os.path.isdir(home):  # else another was first
            raise


AGAIN = """import sys
sys.dont_write_bytecode, sys.path = True, [sys.argv[4]] + [entry for entry in sys.path if entry]
from device_worker.main import main
sys.exit(main(["serve", sys.argv[1], sys.argv[2]]))  # benchfleet-loader"""


def speak_utf8(state_dir, digest, size, home):
    # type: (str, str, int, str) -> None
    """Begin again in UTF-8 if the locale of the device has another encoding, which cannot write all names of files."""
    if sys.getfilesystemencoding() != "utf-8" and sys.executable:
        words = [state_dir, digest, str(size), home]
        os.execv(sys.executable, [sys.executable, "-X", "utf8", "-E", "-s", "-c", AGAIN] + words)  # noqa: RUF005, S606


def become_worker(state_dir, digest, size):
    # type: (str, str, int) -> int
    """Fetch the worker if missing, then converse. Return the exit code."""
    home = os.path.join(state_dir, "worker", digest)
    have = os.path.isdir(home)
    if sys.version_info < (3, 7):
        return say(state_dir, have=have)
    try:
        os.umask(0o77)
        os.makedirs(os.path.dirname(home), 0o700, exist_ok=True)
        info = os.stat(state_dir)
        if info.st_uid != os.geteuid() or info.st_mode & 0o022:  # may be another user's program
            raise OSError(errno.EACCES, "not this user's own, or others may write there (chmod 700)", state_dir)
        if not os.access(state_dir, os.X_OK if have else os.W_OK | os.X_OK):
            read_only = os.statvfs(state_dir).f_flag & os.ST_RDONLY
            raise OSError(errno.EROFS if read_only else errno.EACCES, "read-only, or not writable", state_dir)
        say(state_dir, have=have)
        if not have:
            import hashlib

            data = receive(size)
            if hashlib.sha256(data).hexdigest() != digest:
                return say(state_dir, error="blob-corrupt", message="the worker's SHA-256 is another")
            install(data, home)
            say(state_dir, have=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        message = "%s: %s" % (error.filename or state_dir, error.strerror or error)
        return say(state_dir, error="disk-full" if full else "state-dir-unusable", message=message)
    speak_utf8(state_dir, digest, size, home)
    sys.dont_write_bytecode = True  # until main() guards its writes
    sys.pycache_prefix = None  # novm: nothing to Python 3.7. The bytecode is beside the worker
    sys.path.insert(0, home)
    from device_worker.main import main

    return main(["serve", state_dir, digest])


if __name__ == "__main__":
    code = become_worker(os.path.abspath(os.path.expanduser(sys.argv[1])), sys.argv[2], int(sys.argv[3]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # an ordered end takes milliseconds
