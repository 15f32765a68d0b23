"""The files that people bring: inventories, sweeps, models, settings, selectors, known hosts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

from orchestrator.domain.errors import BadDatabaseUrl, ConfigError
from orchestrator.domain.selector import select
from orchestrator.inventory.files import load_inventory
from orchestrator.models.described import described, read_folder, sort_files
from orchestrator.services.bisect.candidates import read_candidates
from orchestrator.settings import load_settings, render_settings_file
from orchestrator.specs.array_file import BadArrayFile, read_header
from orchestrator.specs.model import load_model
from orchestrator.specs.runtime import parse_runtime
from orchestrator.specs.sweep import load_sweep
from orchestrator.testing.event_logs import sample_device
from orchestrator.transport.known_hosts import HostName, find
from tests.fuzz.base import REPOSITORY, Target, check_said
from tests.fuzz.hazards import YAML_HAZARDS
from tests.model_files import saved_model_of

SPECS = REPOSITORY / "tests" / "contract" / "specs"
KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIHVTsmWtEHwL5ANbXnhN2sZIDU/JtxgAqmQBSpUB4tAz"
KNOWN_HOSTS = (
    f"[127.0.0.1]:2222 ssh-ed25519 {KEY}\n@revoked pi-* ssh-ed25519 {KEY}\n# a comment\n",
    f"*.lab,!pi-?.lab ssh-ed25519 {KEY} comment\n",
    "|1|c2FsdHNhbHRzYWx0c2FsdHM=|aGFzaA== ssh-rsa AAAAB3NzaC1yc2EAAAADAQAB\n",
    "@cert-authority * ssh-ed25519 AAAA\npi-03 ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTY=\n",
)
SELECTORS = (
    "class=rpi,ram=4g",
    "pi-*",
    "all",
    "not coral-*",
    "(pi-* or class=x86) and not ram=4g",
    "name=pi-03, not all",
)


def targets(folder: Path) -> tuple[Target, ...]:
    """Return the targets; their files are written below `folder`."""
    lab = folder / "lab"
    shutil.copytree(REPOSITORY / "models" / "digits", lab / "models" / "digits", ignore=shutil.ignore_patterns("*.py"))
    shutil.copytree(REPOSITORY / "sweeps" / "exec", lab / "sweeps" / "exec")
    inventory, sweep, settings = lab / "lab.yaml", lab / "sweeps" / "fuzzed.yaml", lab / "benchfleet.toml"
    model = lab / "models" / "digits" / "model.yaml"
    builds, tflite = lab / "list.txt", parse_runtime("tflite-runtime==2.14.0")
    fuzzed_model = folder / "fuzzed" / "model.yaml"
    fuzzed_model.parent.mkdir()
    for file in model.parent.glob("digits*"):
        shutil.copy(file, fuzzed_model.parent)
    selectors, known_hosts = [text.encode() for text in SELECTORS], [text.encode() for text in KNOWN_HOSTS]
    inventories, sweeps = _yaml("inventory", "inventories"), _yaml("sweeps", "sweeps")
    return (
        Target("inventory", _of_file(inventory, lambda: load_inventory([inventory])), inventories, YAML_HAZARDS),
        Target("sweep", _of_file(sweep, lambda: load_sweep(sweep)), sweeps, YAML_HAZARDS),
        Target("model", _of_file(fuzzed_model, lambda: load_model(fuzzed_model.parent)), _models(), YAML_HAZARDS),
        _model_file(folder / "fuzzed.tflite"),
        _model_file(folder / "fuzzed.onnx"),
        _saved_model(folder / "saved"),
        _array_file(folder / "fuzzed.npz"),
        Target("settings", _of_file(settings, lambda: load_settings({}, {}, settings)), _settings(), _TOML_HAZARDS),
        Target("candidates", _of_file(builds, lambda: read_candidates(builds, tflite, None)), _LISTS, _LIST_HAZARDS),
        Target("selector", _select, selectors, _SELECTOR_HAZARDS),
        Target("known-hosts", _known_hosts(folder / "known_hosts"), known_hosts, _HOST_HAZARDS),
    )


_LISTS = (
    b"# oldest first\n2.11.0\ntflite-runtime==2.13.0\n",
    b"sweeps/fuzzed.yaml\nmodels/digits/digits-fp32.tflite\n",
)
_LIST_HAZARDS = (
    b"a\n" * 500_000,
    b"/dev/zero\n/dev/random\n",
    b"../" * 50_000 + b"\nb\n",
    b"a" * 1_000_000 + b"\nb\n",
    b"models\n\0\n",
    b"models\n~nobody/x\n",
    b"==\n====\n",
    b"\xff\xfe",
)
_MODEL_HAZARDS = (
    b"",
    b"\x08\0\0\0TFL3" + b"\xff" * 1_000_000,
    b"\x08\0\0\0TFL3" + b"\x01" * 1_000_000,
    b"\x08\0\0\0TFL3" + b"\x04\0\0\0" * 500_000,
    b":\x80\x80\x40" + b"\x62\0" * 524_288,  # a graph of outputs without a name
    b":\x80\x80\x40" + b"\x2a\0" * 524_288,  # and one of weights
    b":\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x3a\x02" * 500_000,
)
_SAVED_MODEL_HAZARDS = (
    b"",
    b"\x12\x00" * 500_000,  # graphs without an end
    b"\x12\x80\x80\x40" + b"\x2a\x00" * 524_288,  # a graph of empty signatures
    b"\x12\x80\x80\x40" + b"\x0a\x00" * 524_288,
    b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x08" * 1_000_000,
)
_SELECTOR_HAZARDS = (b"(" * 100_000, b"not " * 100_000, b"*" * 5000 + b"b", b"*a" * 40 + b"b", b"a=b," * 50_000)
_TOML_HAZARDS = (
    b"db = " + b"[" * 100_000,
    b"db = " + b"{a=" * 100_000,
    b"db = " + b"9" * 100_000,
    b".".join([b"a"] * 50_000) + b" = 1",
    b"db = 1e" + b"9" * 10_000,
    b"db = nan\nheartbeat_s = inf\n",
    b"db = '''" + b"x" * 2_000_000 + b"'''",
    b"db = 9999-99-99T99:99:99\n",
    b"\xff\xfe",
    b"\0",
)
_HOST_HAZARDS = (
    b"*a" * 40 + b"*b ssh-ed25519 " + KEY.encode(),
    b"?*" * 200 + b" ssh-ed25519 " + KEY.encode(),
    b"pi-03 ssh-ed25519 \xc3\xa9" + KEY.encode(),
    b"pi-03 ssh-rsa \npi-03 ssh-rsa =\npi-03 ssh-rsa AA==\npi-03 ssh-rsa ////",
    b"|1||  ssh-rsa AAAA\n|1|a ssh-rsa AAAA\n|1|\xff|\xff ssh-rsa AAAA",
)


def _of_file(path: Path, load: Callable[[], object]) -> Callable[[bytes], None]:
    """Return a feed for a loader of one file, whose every error begins with the file's name."""

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        try:
            load()
        except (ConfigError, BadDatabaseUrl) as error:
            check_said(error.message, str(path))

    return feed


def _model_file(path: Path) -> Target:
    """Return a target for model files of the format of a file's ending."""
    files = sort_files([path])
    corpus = [file.read_bytes() for file in sorted((REPOSITORY / "models" / "digits").glob(f"*{path.suffix}"))]
    return Target(path.suffix[1:], _of_file(path, lambda: described(files, path.parent)), corpus, _MODEL_HAZARDS)


def _saved_model(folder: Path) -> Target:
    """Return a target for the signature of a SavedModel."""
    folder.mkdir()
    file = folder / "saved_model.pb"
    taken, given = [("image", (-1, 8, 8, 1), 1), ("ids", (-1, 128), 9)], [("classes", (-1, 10), 1), ("n", (), 9)]
    corpus = [saved_model_of(taken, given), saved_model_of(taken, given, "predict", "train"), saved_model_of([], given)]
    return Target("saved-model", _of_file(file, lambda: read_folder(folder)), corpus, _SAVED_MODEL_HAZARDS)


def _array_file(path: Path) -> Target:
    """Return a target for files of inputs: an .npy file, or an .npz archive by its first bytes."""

    def feed(data: bytes) -> None:
        path.write_bytes(data)
        with path.open("rb") as file:
            try:
                read_header(file, "x")
            except BadArrayFile as error:
                check_said(str(error))

    return Target("array-file", feed, [_saved(save, **{key: _ROWS}) for save, key in _SAVES], _ARRAY_HAZARDS)


def _saved(save: Callable[..., None], **arrays: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> bytes:
    content = BytesIO()
    save(content, **arrays)
    return content.getvalue()


_ROWS = np.zeros((2, 3), "float32")
_SAVES: tuple[tuple[Callable[..., None], str], ...] = ((np.save, "arr"), (np.savez, "x"), (np.savez_compressed, "x"))
_ARRAY_HAZARDS = (
    b"",
    b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65_535,
    b"\x93NUMPY\x01\x00\x10\x27" + b"{'shape': " + b"-" * 9_990,
    b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b"9" * 100_000,
    b"\x93NUMPY\x01\x00\x40\x00" + b"{'descr': '<f4', 'shape': (999999999,999999999)}".ljust(64),
    b"PK\x03\x04" + b"PK\x01\x02" * 200_000 + b"PK\x05\x06" + b"\xff" * 16 + b"\0\0",
    b"PK\x05\x06" + b"\0" * 18,
)


def _yaml(folder: str, examples: str) -> list[bytes]:
    """Return what the repository ships and its good and bad examples."""
    files = [*(REPOSITORY / folder).glob("*.yaml"), *SPECS.glob(f"*/{examples}/*.yaml")]
    return [path.read_bytes() for path in sorted(files)]


def _models() -> list[bytes]:
    files = [*(REPOSITORY / "models").glob("*/model.yaml"), *SPECS.glob("*/models/*/model.yaml")]
    return [path.read_bytes() for path in sorted(files)]


_WINDOWS = b"""[windows]
nightly = "22:00-06:00"
[windows.ci]
hours = "01:00-05:00"
zone = "Europe/Berlin"
users = ["ci"]
select = "class=rpi"
"""


def _settings() -> list[bytes]:
    shipped = render_settings_file()
    return [shipped.encode(), shipped.replace("\n#", "\n").encode(), b"db = 'x.db'\ninventory = ['a', 'b']\n", _WINDOWS]


def _select(data: bytes) -> None:
    devices = [sample_device("pi-03", ram="4g"), sample_device("coral-01", board="dev")]
    try:
        select(data.decode("utf-8", "surrogateescape"), devices)
    except ConfigError as error:
        check_said(error.message)


def _known_hosts(path: Path) -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        path.write_bytes(data)
        for host in (HostName("127.0.0.1", 2222), HostName("pi-03"), HostName("a" * 60, 22)):
            for known in find(host, [path]):
                f"{known.key} {known.key.type_name} {known.key.bits} {known.place}".encode("utf-8", "backslashreplace")

    return feed
