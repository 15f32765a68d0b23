"""Send messages by Apprise, to any of its services."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.message import Delivery, Message, Recipient

if TYPE_CHECKING:
    from apprise import Apprise

SEND_S_MAX = 60.0
"""Give up a message after this many seconds: a service that drips its answer must not hold a night."""

_STATUS = re.compile(r"\berror=(\d{3})\b")
_REMEDY = "`apprise -vv -b test URL` shows why"

# The libraries log addresses, whose paths are secrets. A service given up after SEND_S_MAX may log later still.
for _library in ("apprise", "urllib3", "requests"):
    logging.getLogger(_library).addHandler(logging.NullHandler())
    logging.getLogger(_library).propagate = False


class AppriseMessenger:
    """Send messages by Apprise. Apprise is imported for the first recipient.

    Logs of Apprise name hosts and paths, and paths hold tokens. Of these logs only an HTTP status is shown.
    """

    def __init__(self, send_s_max: float = SEND_S_MAX) -> None:
        self._send_s_max = send_s_max

    def refuse_bad(self, recipients: Sequence[Recipient]) -> None:
        """Raise ConfigError for an address that Apprise cannot send to, or without Apprise."""
        for recipient in recipients:
            _service(recipient)

    def send(self, messages: Sequence[Message], recipients: Sequence[Recipient]) -> Sequence[Delivery]:
        """Send every message to every recipient, one after the other."""
        return tuple(delivery for recipient in recipients for delivery in self._deliveries(recipient, messages))

    def _deliveries(self, recipient: Recipient, messages: Sequence[Message]) -> Iterator[Delivery]:
        is_silent = False
        for message in messages:
            # A service that did not answer once would cost as long for each further message.
            failure = self._silence if is_silent else self._send(recipient, message)
            is_silent = failure == self._silence
            yield Delivery(recipient.name, message.title, failure)

    @property
    def _silence(self) -> str:
        return f"no answer within {self._send_s_max:g} s"

    def _send(self, recipient: Recipient, message: Message) -> str | None:
        """Return None for an accepted message, or else the reason."""
        said: list[str | None] = []
        # Apprise bounds the time between two bytes, and not the whole. A daemon, since a process would wait for any
        # other thread at its end.
        thread = threading.Thread(target=lambda: said.append(_attempt(recipient, message)), daemon=True)
        thread.start()
        thread.join(self._send_s_max)
        return said[0] if said else self._silence


def _attempt(recipient: Recipient, message: Message) -> str | None:
    try:
        service = _service(recipient)
        import apprise

        kind = apprise.NotifyType.SUCCESS if message.is_good else apprise.NotifyType.FAILURE
        with _overheard() as lines:
            is_accepted = service.notify(
                body=message.body, title=message.title, notify_type=kind, body_format=apprise.NotifyFormat.TEXT
            )
    except ConfigError as error:
        return error.message
    except Exception as error:  # noqa: BLE001 a plugin's defect must not end a night whose results are there
        return f"{type(error).__name__} in Apprise; {_REMEDY}"
    if is_accepted:
        return None
    status = next((found[1] for line in lines if (found := _STATUS.search(line))), None)
    return f"refused with HTTP status {status}; {_REMEDY}" if status else f"not delivered; {_REMEDY}"


def _service(recipient: Recipient) -> Apprise:
    """Return the service of an address. Raise ConfigError, without the address, if there is none."""
    try:
        import apprise
    except ImportError as error:
        raise ConfigError(
            f"messages need Apprise, which cannot be imported: {error}", "pip install 'benchfleet[notify]'"
        ) from error
    service = apprise.Apprise(asset=apprise.AppriseAsset(secure_logging=True))
    if not service.add(recipient.url):
        hint = "an address is an Apprise URL, such as json://HOST/PATH; `apprise --details` lists the services"
        raise ConfigError(f"{recipient.name}: not an address for messages", hint)
    return service


@contextmanager
def _overheard() -> Iterator[list[str]]:
    """Yield the log lines of Apprise while there are any."""
    lines: list[str] = []

    class Lines(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("apprise"), Lines(logging.WARNING)
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
