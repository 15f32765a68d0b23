"""Host keys are judged as ssh judges them, only never leniently."""

from pathlib import Path

import pytest

from orchestrator.domain.errors import HostKeyChanged, HostKeyUnknown
from orchestrator.transport.known_hosts import HostKey, HostName
from orchestrator.transport.ssh.route import Hop
from orchestrator.transport.ssh.trust import check, known_keys

KEY, OTHER, RSA = HostKey("ssh-ed25519", b"key"), HostKey("ssh-ed25519", b"other"), HostKey("ssh-rsa", b"rsa")


def line(name: str, key: HostKey, marker: str = "") -> str:
    return f"{marker} {name} {key.algorithm} {key.base64}\n".lstrip()


def hop_with(directory: Path, own: str, users: str = "", port: int = 22, enrollable: bool = True) -> Hop:
    files = directory / "own", directory / "users"
    for file, text in zip(files, (own, users), strict=True):
        file.write_text(text)
    return Hop("pi", "pi.lab", port, "bob", HostName("pi.lab", port), files, enrollable=enrollable)


def test_a_key_in_any_file_is_trusted(tmp_path: Path) -> None:
    check(hop_with(tmp_path, line("pi.lab", KEY)), KEY)
    check(hop_with(tmp_path, "", line("pi.lab", KEY)), KEY)
    check(hop_with(tmp_path, line("pi.lab", OTHER), line("pi.lab", KEY)), KEY)


def test_one_that_nobody_knows_is_to_be_enrolled(tmp_path: Path) -> None:
    with pytest.raises(HostKeyUnknown, match="not enrolled") as caught:
        check(hop_with(tmp_path, line("other", KEY)), KEY)

    assert caught.value.hint == "benchfleet devices enroll pi"


def test_a_host_outside_the_inventory_is_enrolled_with_ssh(tmp_path: Path) -> None:
    with pytest.raises(HostKeyUnknown) as caught:
        check(hop_with(tmp_path, "", enrollable=False), KEY)

    assert caught.value.hint == "ssh pi once, and accept its key"


def test_another_one_has_changed(tmp_path: Path) -> None:
    hop = hop_with(tmp_path, line("x", KEY) + line("pi.lab", OTHER), line("pi.lab", OTHER))

    with pytest.raises(HostKeyChanged) as caught:
        check(hop, KEY)

    assert (
        f"expected {OTHER.fingerprint} (ED25519) of {tmp_path}/own:2, shown {KEY.fingerprint}" in caught.value.message
    )
    assert f"remove {tmp_path}/own:2, {tmp_path}/users:1" in str(caught.value.hint)
    assert "if another device has the address now" in str(caught.value.hint)


def test_another_type_has_changed_too(tmp_path: Path) -> None:
    with pytest.raises(HostKeyChanged):
        check(hop_with(tmp_path, line("pi.lab", RSA)), KEY)


def test_a_revoked_one_is_refused_wherever_it_is_known(tmp_path: Path) -> None:
    hop = hop_with(tmp_path, line("pi.lab", KEY), line("*", KEY, "@revoked"))

    with pytest.raises(HostKeyChanged, match="revoked") as caught:
        check(hop, KEY)

    assert caught.value.hint == f"it is revoked at {tmp_path}/users:1"
    check(hop_with(tmp_path, line("pi.lab", KEY), line("*", OTHER, "@revoked")), KEY)


def test_an_entry_without_port_vouches_for_the_same_key_and_accuses_no_other(tmp_path: Path) -> None:
    hop = hop_with(tmp_path, line("pi.lab", KEY), port=2222)

    check(hop, KEY)
    assert [known.key for known in known_keys(hop)] == [KEY]
    with pytest.raises(HostKeyUnknown):
        check(hop, OTHER)
