"""Hold messages to people, and the fates of messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from orchestrator.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Message:
    """Hold a message. `is_good` is for news without need for action, such as a fix."""

    title: str
    body: str
    is_good: bool = False


@dataclass(frozen=True, slots=True)
class Recipient:
    """Hold an address for messages.

    `name` says where the address stands: an environment variable or a setting. `url` is a secret, because most
    addresses contain a token.
    """

    name: str
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Hold the fate of a message to a recipient. `failure` is None for an accepted message."""

    recipient: str
    title: str
    failure: str | None = None


def recipients(named: Sequence[str], environ: Mapping[str, str]) -> Iterator[Recipient]:
    """Yield the addresses of a list: addresses, and names of environment variables with addresses divided by blanks.

    Raise ConfigError for an unset variable.
    """
    for number, entry in enumerate(dict.fromkeys(named), 1):
        if "://" in entry:
            # Named by its number: messages and errors show the name, and the address is a secret.
            yield Recipient(f"notify, address {number}", entry)
            continue
        urls = environ.get(entry, "").split()
        if not urls:
            hint = f"set the variable to an Apprise URL, such as {entry}=json://HOST/PATH, or take it out of `notify`"
            raise ConfigError(f"notify: the environment variable {entry} is not set", hint)
        for position, url in enumerate(urls, 1):
            yield Recipient(entry if len(urls) == 1 else f"{entry}, address {position}", url)
