"""A file system whose reads hang in the kernel, as those of a sensor on a dead bus: not even SIGKILL ends such a read.

Run with a folder: it serves the files `type` and `temp` of a thermal zone there, by the protocol of fuse(4), and takes
each read of `temp` without ever answering. The reads end with this process.
"""

import ctypes
import os
import struct
import subprocess
import sys

LOOKUP, FORGET, GETATTR, OPEN, READ, RELEASE, FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR = (
    1,
    2,
    3,
    14,
    15,
    18,
    25,
    26,
    27,
    28,
    29,
)
INTERRUPT, BATCH_FORGET = 36, 42
ENOENT, ENOSYS = 2, 38
ROOT, TYPE, TEMP = 1, 2, 3
FILES = {TYPE: (b"type", b"cpu-thermal\n"), TEMP: (b"temp", b"48000\n")}
DIRECT_IO = 1


class HangingZone:
    """The served folder, for as long as a `with` lasts. `reason` says why there can be none here, or is None."""

    def __init__(self, folder):
        self._folder = str(folder)
        self._server = None
        self.reason = None if os.geteuid() == 0 and os.path.exists("/dev/fuse") else "needs root and /dev/fuse"

    def __enter__(self):
        if self.reason is None:
            self._server = subprocess.Popen([sys.executable, __file__, self._folder], stdout=subprocess.PIPE)
            if self._server.stdout.readline() != b"mounted\n":
                self.reason = "no file system can be mounted here"
        return self

    def wait_for_reader(self):
        """Wait until a read has reached the server: no signal ends the read from then on."""
        assert self._server.stdout.readline() == b"read\n"

    def __exit__(self, *_error):
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server.stdout.close()
            subprocess.run(["umount", "--lazy", self._folder], stderr=subprocess.DEVNULL)


def attributes(node):
    mode, size = (0o40755, 0) if node == ROOT else (0o100644, len(FILES[node][1]))
    return struct.pack("<6Q10I", node, size, 0, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0, 4096, 0)


def answer(code, node, body):
    """Return the bytes of an answer, a negative error number, or None for a request that gets no answer."""
    if code == INIT:
        return struct.pack("<4I2H2I2H7I", 7, 31, 0, 0, 0, 0, 4096, 0, 0, 0, *[0] * 7)
    if code == LOOKUP:
        found = [one for one, (name, _content) in FILES.items() if name == body.rstrip(b"\0")]
        return struct.pack("<4Q2I", found[0], 0, 0, 0, 0, 0) + attributes(found[0]) if found else -ENOENT
    if code == GETATTR:
        return struct.pack("<Q2I", 0, 0, 0) + attributes(node)
    if code in (OPEN, OPENDIR):
        return struct.pack("<Q2I", node, DIRECT_IO, 0)
    if code == READ and node != TEMP:
        (offset,) = struct.unpack("<Q", body[8:16])
        return b"" if offset else FILES[node][1]
    if code in (READ, FORGET, BATCH_FORGET, INTERRUPT):
        return None
    return b"" if code in (RELEASE, RELEASEDIR, FLUSH, READDIR) else -ENOSYS


def serve(folder):
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = b"fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % fd
    if ctypes.CDLL(None).mount(b"fuse", os.fsencode(folder), b"fuse", 0, options):
        sys.exit(1)
    os.write(1, b"mounted\n")
    while True:
        request = os.read(fd, 1 << 20)
        _length, code, number, node = struct.unpack("<2I2Q", request[:24])
        found = answer(code, node, request[40:])
        if (code, node) == (READ, TEMP):
            os.write(1, b"read\n")
        if found is not None:
            error, data = (found, b"") if isinstance(found, int) else (0, found)
            os.write(fd, struct.pack("<IiQ", 16 + len(data), error, number) + data)


if __name__ == "__main__":
    serve(sys.argv[1])
