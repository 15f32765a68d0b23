"""Files of known hosts, against OpenSSH's own tools where these are installed."""

import base64
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from orchestrator.transport import known_hosts
from orchestrator.transport.known_hosts import HostKey, HostName, append, find

ED25519 = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
KEY = HostKey("ssh-ed25519", base64.b64decode(ED25519))
OTHER = HostKey("ssh-ed25519", KEY.blob[:-1] + b"\0")

needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH's ssh-keygen")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def lines_found(file: Path, name: str, port: int | None = None) -> list[int]:
    return [known.line for known in find(HostName(name, port), [file])]


class TestHostKey:
    def test_has_the_fingerprint_that_github_publishes(self) -> None:
        assert KEY.fingerprint == "SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU"
        assert str(KEY) == f"{KEY.fingerprint} (ED25519)"

    @needs_keygen
    @pytest.mark.parametrize(("kind", "bits"), [("ed25519", 256), ("ecdsa", 256), ("ecdsa", 521), ("rsa", 2048)])
    def test_is_described_as_openssh_describes_it(self, tmp_path: Path, kind: str, bits: int) -> None:
        file = tmp_path / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-b", str(bits), "-N", "", "-f", str(file)], check=True)
        algorithm, blob, *_ = file.with_suffix(".pub").read_text().split()

        key = HostKey(algorithm, base64.b64decode(blob))

        listed = subprocess.run(["ssh-keygen", "-lf", str(file)], check=True, capture_output=True, text=True)
        told_bits, fingerprint, *_, told_type = listed.stdout.split()
        assert (str(key.bits), key.fingerprint, f"({key.type_name})") == (told_bits, fingerprint, told_type)

    def test_of_a_strange_type_has_no_known_length(self) -> None:
        assert HostKey("sk-strange", b"").bits is None


class TestFind:
    def test_tells_every_line_that_names_the_host(self, file: Path) -> None:
        file.write_text(
            f"# pi ssh-ed25519 {ED25519}\n\n"
            f"pi,10.0.0.7 ssh-ed25519 {ED25519} a comment\n"
            f"other ssh-ed25519 {ED25519}\n"
            f"  PI   ssh-ed25519 {ED25519}\n"
        )

        assert lines_found(file, "pi") == [3, 5]
        assert lines_found(file, "10.0.0.7") == [3]
        assert lines_found(file, "p") == []

    def test_knows_ports(self, file: Path) -> None:
        file.write_text(f"pi ssh-ed25519 {ED25519}\n[pi]:2222 ssh-ed25519 {ED25519}\n")

        assert lines_found(file, "pi", 22) == [1]
        assert lines_found(file, "pi", 2222) == [2]
        assert lines_found(file, "pi", 2223) == []

    def test_knows_patterns(self, file: Path) -> None:
        file.write_text(f"*.lab,!bad.lab ssh-ed25519 {ED25519}\npi-? ssh-ed25519 {ED25519}\n")

        assert lines_found(file, "good.lab") == [1]
        assert lines_found(file, "bad.lab") == []
        assert lines_found(file, "pi-7") == [2]
        assert lines_found(file, "pi-17") == []

    def test_tells_revoked_keys_and_leaves_authorities_alone(self, file: Path) -> None:
        file.write_text(f"@cert-authority * ssh-ed25519 {ED25519}\n@revoked * ssh-ed25519 {ED25519}\n")

        (known,) = find(HostName("pi"), [file])

        assert (known.line, known.revoked, known.place) == (2, True, f"{file}:2")

    @needs_keygen
    def test_knows_hashed_names(self, file: Path) -> None:
        file.write_text(f"pi ssh-ed25519 {ED25519}\n[10.0.0.7]:2222 ssh-ed25519 {ED25519}\n")
        subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(file)], check=True, capture_output=True)
        assert "pi" not in file.read_text().split()

        assert lines_found(file, "pi") == [1]
        assert lines_found(file, "10.0.0.7", 2222) == [2]
        assert lines_found(file, "10.0.0.7") == []

    @pytest.mark.parametrize(
        "damaged",
        [
            "pi",
            "pi ssh-ed25519",
            "pi ssh-ed25519 !!!",
            "pi ssh-ed25519 AAA",
            "|1|x ssh-ed25519 AAAA",
            "@revoked pi",
            "\0",
        ],
    )
    def test_reads_on_after_a_damaged_line(self, file: Path, damaged: str) -> None:
        file.write_text(f"{damaged}\npi ssh-ed25519 {ED25519}\n")

        assert lines_found(file, "pi") == [2]

    def test_takes_a_file_that_is_not_there_for_an_empty_one(self, file: Path, tmp_path: Path) -> None:
        append(HostName("pi"), KEY, file)

        assert [known.path for known in find(HostName("pi"), [tmp_path / "none", file / "x", file])] == [file]


class TestAppend:
    def test_makes_a_file_for_this_user_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "new" / "known_hosts"

        known = append(HostName("pi", 2222), KEY, file)

        assert (known.line, known.key, known.path) == (1, KEY, file)
        assert file.read_text() == f"[pi]:2222 ssh-ed25519 {ED25519}\n"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700

    def test_keeps_what_is_there_even_without_a_last_newline(self, file: Path) -> None:
        file.write_text("# mine\nother ssh-ed25519 AAAA")

        known = append(HostName("pi"), KEY, file)

        assert known.line == 3
        assert file.read_text() == f"# mine\nother ssh-ed25519 AAAA\npi ssh-ed25519 {ED25519}\n"
        assert find(HostName("pi"), [file]) == (known,)

    def test_many_at_once_lose_no_line(self, file: Path) -> None:
        threads = [threading.Thread(target=append, args=(HostName(f"pi-{n}"), KEY, file)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert len(file.read_text().splitlines()) == 20
        assert all(len(lines_found(file, f"pi-{n}")) == 1 for n in range(20))


def test_a_line_that_is_damaged_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(b"pi-03 ssh-ed25519 \xff\xc3\xa9AAAA\npi-03 ssh-rsa =\npi-03 ssh-rsa AAAA\n")
    assert [known.line for known in find(HostName("pi-03"), [file])] == [3]
    assert find(HostName("pi-03"), [file])[0].key.bits is not None


def test_a_pattern_of_many_stars_is_decided_at_once(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{'*a' * 40}*b ssh-ed25519 AAAA\n{'?*' * 30} ssh-ed25519 AAAA\n", encoding="utf-8")
    assert [known.line for known in find(HostName("a" * 60), [file])] == [2]


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [("pi-*", True), ("p?-0?", True), ("*", True), ("pi", False), ("*-04", False), ("pi-03?", False)],
)
def test_stars_and_question_marks_stand_for_what_they_do_in_ssh(tmp_path: Path, pattern: str, matches: bool) -> None:
    file = tmp_path / "known_hosts"
    file.write_text(f"{pattern} ssh-ed25519 AAAA\n", encoding="utf-8")
    assert bool(find(HostName("pi-03"), [file])) is matches


class TestIndex:
    LINES = ("pi-1,pi-2", "*.lab", "PI-1", "!pi-1,pi-?", "pi-3", "@revoked pi-1", "pi-1,pi-1", "|1|damaged")

    @pytest.fixture
    def mixed(self, file: Path) -> Path:
        file.write_text("".join(f"{patterns} ssh-ed25519 {ED25519}\n" for patterns in self.LINES))
        return file

    @pytest.mark.parametrize("name", ["pi-1", "pi-2", "pi-3", "pi-4", "a.lab", "Pi-1", "nobody"])
    def test_finds_what_trying_every_line_finds_in_the_order_of_the_file(self, mixed: Path, name: str) -> None:
        tried = known_hosts._parsed(mixed.read_text())
        assert lines_found(mixed, name) == [line[0] for line in tried if known_hosts._matches(name.lower(), line[2])]

    def test_tries_no_line_of_another_plain_name(self, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        names = [f"127.1.{number // 250}.{number % 250}" for number in range(2000)]
        file.write_text("".join(f"{name} ssh-ed25519 {ED25519}\n" for name in (*names, "*.lab")))
        tried: list[str] = []
        matches = known_hosts._matches

        def noting(name: str, patterns: str) -> bool:
            tried.append(patterns)
            return matches(name, patterns)

        monkeypatch.setattr(known_hosts, "_matches", noting)
        assert lines_found(file, names[1234]) == [1235]
        assert tried == [names[1234], "*.lab"]
