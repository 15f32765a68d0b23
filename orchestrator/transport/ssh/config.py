"""Look hosts up in the ssh configuration of the user and of the system: by the ssh program, or without one."""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.domain.errors import Unreachable
from orchestrator.transport.ssh import program
from orchestrator.transport.ssh.algorithms import SUPPORTED
from orchestrator.transport.ssh.answers import Answer, Question
from orchestrator.transport.ssh.parser import SYSTEM_DIRECTORY, Source
from orchestrator.transport.ssh.remembered import Remembered
from orchestrator.transport.ssh.resolved import CannotHonour, Resolved, resolve
from orchestrator.transport.ssh.tokens import account_home, home
from orchestrator.transport.ssh.walk import Walk

_LATE_HINT = "does a command of Match exec wait, or, with CanonicalizeHostname, the DNS? try it: ssh -G"
_NOTHING: Mapping[str, tuple[str, ...]] = {}
_confirmed = Remembered[bool | program.Refused](program.FRESH_S, program.REMEMBERED_MAX)


@dataclass(frozen=True, slots=True)
class Followed:
    """What the parser makes of the files for a host. `way` is None if no other host is known to go the same way."""

    resolved: Resolved
    way: Hashable | None
    files: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class SshConfig:
    """The configuration files, read at each lookup. `path`, if given, replaces the files of user and system.

    The reader is the ssh program. ssh is asked about one host of those that go the same way through the files, and
    confirms what benchfleet's own parser makes of them all. The parser alone reads where there is no program, where ssh
    refuses the files for a line of another host, and where HOME is not the home of the account, which ssh would look
    into.
    """

    path: Path | None = None

    def lookup(self, question: Question) -> Resolved:
        """Return what the configuration says of a host. Raise Unreachable if a file cannot be used for the host."""
        try:
            program.refuse_unfit(question)
            ssh = program.find_program()
            if ssh is None or (self.path is None and account_home() != home()):
                return self._by_parser(question)
            return self._by_program(ssh, question)
        except program.Late as late:
            raise Unreachable(str(late), hint=_LATE_HINT) from late
        except (OSError, ValueError) as error:
            raise self._unusable(question, str(error)) from error

    def _by_program(self, ssh: str, question: Question) -> Resolved:
        try:
            usual = program.usual(ssh)
            followed = self._followed(question, usual)
            if followed is not None and followed.way is not None:
                key = (ssh, self.path, followed.way, program.stamps(followed.files))
                confirmed = _confirmed.get(key, lambda: self._confirms(ssh, usual, followed))
                if isinstance(confirmed, program.Refused):
                    raise confirmed
                if confirmed:
                    return followed.resolved
            return self._resolved(program.ask(ssh, self.path, question), usual)
        except program.Late:
            raise
        except program.Refused as refused:
            return self._refused(question, str(refused))

    def _followed(self, question: Question, usual: Mapping[str, tuple[str, ...]]) -> Followed | None:
        """Return what the parser makes of the files with ssh's lists of algorithms, or None in doubt."""
        lists = {keyword: usual.get(keyword, ("",))[0].split(",") for keyword in SUPPORTED}
        walk = Walk(question, lists, commands=False)
        try:
            answer = walk.answer(self._sources())
            return Followed(resolve(answer, usual), walk.way.steps(answer), tuple(walk.way.files))
        except (OSError, ValueError):
            return None

    def _confirms(self, ssh: str, usual: Mapping[str, tuple[str, ...]], followed: Followed) -> bool | program.Refused:
        """Say whether ssh reads the same files for a host, and makes the same of them, or return why ssh refuses."""
        try:
            answer = program.ask(ssh, self.path, followed.resolved.question)
            files = [str(file.absolute()) for file in followed.files]
            return list(answer.files) == files and self._resolved(answer, usual) == followed.resolved
        except program.Late:
            raise
        except program.Refused as refused:
            # The parser takes ssh's place, with other lists of algorithms to change.
            return False if followed.resolved.manner.algorithms else refused
        except ValueError:
            return False

    def _resolved(self, answer: Answer, usual: Mapping[str, tuple[str, ...]]) -> Resolved:
        try:
            resolved = resolve(answer, usual)
        except CannotHonour:
            return resolve(self._with_places(answer), usual)
        if resolved.manner.algorithms:  # a server may refuse them, and then the line is wanted
            resolved = resolve(self._with_places(answer), usual)
        return self._with_whole_names(resolved)

    def _refused(self, question: Question, said: str) -> Resolved:
        """Return what the parser makes of files that ssh refuses: a line of one host is no reason to lose all hosts."""
        try:
            return self._by_parser(question)
        except (OSError, ValueError) as error:
            raise self._unusable(question, f"{error}; ssh says: {said}") from error

    def _by_parser(self, question: Question) -> Resolved:
        return resolve(self._parsed(question), _NOTHING)

    def _parsed(self, question: Question) -> Answer:
        return Walk(question, SUPPORTED).answer(self._sources())

    def _with_places(self, answer: Answer) -> Answer:
        """Return an answer with the lines of its options, as far as the parser finds the lines."""
        try:
            return replace(answer, places=self._parsed(answer.question).places)
        except (OSError, ValueError, program.Late):
            return answer

    def _with_whole_names(self, resolved: Resolved) -> Resolved:
        """Return an answer of ssh with the names of files that have blanks, which ssh prints without quotes."""
        if not any(" " in str(file) for file in resolved.known_hosts):
            return resolved
        try:
            files = self._by_parser(resolved.question).known_hosts
        except (OSError, ValueError, program.Late):
            return resolved
        same = " ".join(map(str, files)) == " ".join(map(str, resolved.known_hosts))
        return replace(resolved, known_hosts=files) if same else resolved

    def _sources(self) -> list[Source]:
        if self.path is not None:
            return [Source(self.path, of_user=True, guarded=False)]
        sources = (
            Source(home() / ".ssh" / "config", of_user=True, guarded=True),
            Source(SYSTEM_DIRECTORY / "ssh_config", of_user=False, guarded=False),
        )
        return [source for source in sources if source.path.is_file()]

    def _unusable(self, question: Question, reason: str) -> Unreachable:
        file = f"-F {shlex.quote(str(self.path))} " if self.path is not None else ""
        return Unreachable(
            f"the ssh configuration cannot be used: {reason}",
            hint=f"see what ssh itself makes of it: ssh -G {file}{shlex.quote(question.host)}",
        )
