"""Read the files of a job, as a plan names them."""

from __future__ import annotations

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from device_worker.protocol.fields import Fields


class BlobRef:
    """A blob needed on the device, by SHA-256 and size in bytes."""

    __slots__ = ("sha256", "size")

    def __init__(self, fields: Fields) -> None:
        self.sha256 = fields.sha256("sha256")
        self.size = fields.whole("size")


class JobFile(BlobRef):
    """A file of a job: a blob under a plain file name."""

    __slots__ = ("name",)

    def __init__(self, fields: Fields) -> None:
        super().__init__(fields)
        self.name = fields.text("name")
        # The name is joined to the trial's folder: anything but a plain name would lie outside.
        if self.name in ("", ".", "..") or "/" in self.name or "\0" in self.name:
            raise fields.refuse("name", "expected a plain file name")
