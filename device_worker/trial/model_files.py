"""Tell what a file is that no runtime loads: a pointer, a page, an archive, a model whose weights lie elsewhere.

A runtime says that the file does not parse, or that a further file is missing. What happened is on an earlier way.
"""

from __future__ import annotations

from device_worker.trial.onnx_file import find_external

_HEAD_BYTES = 512
_ARCHIVES = (
    (b"\x1f\x8b", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (b"\x28\xb5\x2f\xfd", "Zstandard"),
)


def explain_file(path: str, *, may_be_packed: bool) -> str | None:
    """Return what a file is in place of a whole model, with the remedy, or None where nothing is known.

    `may_be_packed`: the engine takes archives.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if not head:
        return "the file of the model is empty: copy it again"
    if head.startswith(b"version https://git-lfs"):
        return "the file is a pointer of Git LFS, not the model: git lfs pull"
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        return "the file is a page of HTML, not the model: it was downloaded without a login, or by a wrong address"
    for magic, name in _ARCHIVES:
        if not may_be_packed and head.startswith(magic):
            return f"the file is packed by {name}: unpack it, and name the model within"
    outside = find_external(path)
    if outside is not None:
        return f"the weights lie in a further file, {outside!r}, which is not shipped: save the model in one file"
    return None
