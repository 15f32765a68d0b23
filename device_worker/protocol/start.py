"""Read a `start` message: a plan to carry out, under a lease."""

from __future__ import annotations

from device_worker.protocol.fields import Fields, is_number
from device_worker.protocol.limits import INTEGER_MAX

TYPE_CHECKING = False  # importing typing costs a device milliseconds at every start
if TYPE_CHECKING:
    from typing import Any

_TEXT_CHARACTERS_MAX = 200
_ESTIMATE_S_MAX = 10**8


class Lease:
    """The lease of a `start` message: the controller's right to use the device.

    `origin` names the database and the device's name in the database, `token` counts the device's leases there,
    `holder` is `user@host`, and `estimate_s` is about how many seconds the plan will take, or None.
    """

    __slots__ = ("estimate_s", "holder", "origin", "token")

    def __init__(self, fields: Fields) -> None:
        database, device = _take_name(fields, "database"), _take_name(fields, "device")
        self.origin = f"{database}/{device}"
        self.token = fields.whole("token", 1)
        if self.token > INTEGER_MAX:
            raise fields.refuse("token", f"expected at most {INTEGER_MAX}")
        self.holder = _take_name(fields, "holder")
        self.estimate_s: float | None = fields.optional("estimate_s", lambda key: fields.take(key, *_ESTIMATE))


class StartOrder:
    """The plan to carry out, but for the trials in `skip`.

    `spent` has by log id the attempts that trials have taken in logs of before, as (failed, invalid) by trial.

    `exclusive`: no other runner may measure on the machine meanwhile. A message without the key asks for that.
    `worker_sha256` and `cache_bytes_max` come from the conversation, not from the message.
    """

    __slots__ = ("cache_bytes_max", "exclusive", "lease", "plan_sha256", "skip", "spent", "worker_sha256")

    def __init__(self, fields: Fields, worker_sha256: str, cache_bytes_max: int | None = None) -> None:
        self.plan_sha256 = fields.sha256("plan_sha256")
        self.skip = fields.texts("skip")
        spent = fields.optional("spent", fields.section)
        self.spent = {} if spent is None else {log_id: _take_spent(spent.section(log_id)) for log_id in spent.names()}
        lease = fields.optional("lease", fields.section)
        self.lease = None if lease is None else Lease(lease)
        self.exclusive: bool = fields.optional("exclusive", fields.flag) is not False
        self.worker_sha256 = worker_sha256
        self.cache_bytes_max = cache_bytes_max


def _take_spent(fields: Fields) -> dict[str, tuple[int, int]]:
    counts = {name: fields.section(name) for name in fields.names()}
    return {name: (one.whole("failed"), one.whole("invalid")) for name, one in counts.items()}


def _is_estimate(value: Any) -> bool:
    return is_number(value) and 0 <= value <= _ESTIMATE_S_MAX


_ESTIMATE = (_is_estimate, f"a number of seconds up to {_ESTIMATE_S_MAX}")


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _TEXT_CHARACTERS_MAX and value.isprintable()


def _take_name(fields: Fields, key: str) -> str:
    name: str = fields.take(key, _is_name, f"1 to {_TEXT_CHARACTERS_MAX} printable characters")
    return name
