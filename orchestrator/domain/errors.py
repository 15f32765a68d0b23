"""Say what failed, where, and what to do next; each class knows the exit code that it leads to."""

from __future__ import annotations

from enum import IntEnum

LINE_CHARACTERS_MAX = 2_000
"""Of one line of an error, which may quote a file or a device that says something endless."""

CHARACTERS_MAX = 20_000
"""Of a whole error."""


class ExitCode(IntEnum):
    """What the command tells the shell."""

    FINE = 0
    REGRESSION = 1
    USAGE = 2
    INCOMPLETE = 3
    INFRASTRUCTURE = 4


class OrchestratorError(Exception):
    """Anything expected to go wrong: one line that says what and where, and a hint that says what to do."""

    exit_code = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.message = _shortened(message)
        self.hint = hint and _shortened(hint)

    def __str__(self) -> str:
        return self.message


class ConfigError(OrchestratorError):
    """A file, a flag or a selector is wrong; the message begins with file:line where there is one."""

    exit_code = ExitCode.USAGE


class IncompleteError(OrchestratorError):
    """Some trials have no result."""

    exit_code = ExitCode.INCOMPLETE


class StoreError(OrchestratorError):
    """The database cannot be reached, is locked, is too old or refused a statement."""


class BadDatabaseUrl(StoreError):
    """The database's URL is none, or of a kind that is not known: a mistake of whoever wrote it."""

    exit_code = ExitCode.USAGE


class CorruptLog(StoreError):
    """A device's log cannot be stored: a gap, a bad checksum, nonsense; the other devices are not concerned."""

    def __init__(self, device: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{device}: {message}", hint)
        self.device = device


class LeaseLost(StoreError):
    """Another controller has the device by now: what this one still has to write is refused."""

    exit_code = ExitCode.INCOMPLETE

    def __init__(self, device: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{device}: {message}", hint)
        self.device = device


class BundleError(OrchestratorError):
    """A runtime could not be resolved or packed for a reason other than "no wheel exists"."""


class NoSuchRelease(BundleError):
    """The package index knows the runtime, but not the version that the sweep pins: a mistake in the sweep."""

    exit_code = ExitCode.USAGE

    def at(self, where: str) -> NoSuchRelease:
        """Name the file:line that pins the version."""
        return NoSuchRelease(f"{where}: {self.message}" if where else self.message, self.hint)


class BlobError(OrchestratorError):
    """A file that a plan needs is missing or is not what its hash says."""


class DeviceError(OrchestratorError):
    """One device failed at one step; the sweep goes on without it."""

    retryable = False

    def __init__(self, message: str, hint: str | None = None, *, device: str = "", step: str = "") -> None:
        super().__init__(message, hint)
        self.device = device
        self.step = step

    def at(self, device: str, step: str) -> DeviceError:
        """Name the device and the step, unless an inner layer already has."""
        self.device = self.device or device
        self.step = self.step or step
        return self

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.device, self.step) if part)
        return f"{where}: {self.message}" if where else self.message

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.message, self.hint, self.device, self.step)


def _rebuild(kind: type[DeviceError], message: str, hint: str | None, device: str, step: str) -> DeviceError:
    return kind(message, hint, device=device, step=step)


class Unreachable(DeviceError):
    """No connection: refused, timed out, no route, name unknown."""

    retryable = True


class NoAnswer(Unreachable):
    """The device itself does not answer; what else keeps us from it is on the way there, or on this side."""


class LinkLost(DeviceError):
    """An open connection ended or fell silent."""

    retryable = True


class GatewayLost(LinkLost):
    """What held the connection is gone, on this side of it."""


class RunnerStopped(DeviceError):
    """A device's runner ended before its plan did; the device answers."""


class AuthenticationFailed(DeviceError):
    """The device refused every key that was offered."""


class HostKeyUnknown(DeviceError):
    """The device's host key was never enrolled."""


class HostKeyChanged(DeviceError):
    """The device shows another host key than the one on record."""


class NoPython(DeviceError):
    """The device has no Python where the inventory says that it is, or one too old for the worker."""


class DeviceBusy(DeviceError):
    """Another run holds the device."""


class DeviceReserved(DeviceError):
    """Somebody else's run or reservation has the device, as this database knows."""


class StaleLease(DeviceError):
    """The device has heard of a newer lease than the one that it was to start under."""


class DeviceDiskFull(DeviceError):
    """The device has no room for what must be stored there."""


class DeviceUnfit(DeviceError):
    """The device is in a state in which what it measured would be wrong, or lost."""


class DeviceQuarantined(DeviceError):
    """A person, or a recovery that did not help, keeps runs from the device."""


class RebootFailed(DeviceError):
    """The device would not reboot, or does not tell one boot from another."""


class PowerSwitchFailed(DeviceError):
    """The commands that switch a device's power did not work."""


class WorkerFailed(DeviceError):
    """The worker answered with an error, or with something that is not its protocol."""


class BlobDamaged(WorkerFailed):
    """A file arrived on the device with another content than was sent; it may be sent again."""


def _shortened(text: str) -> str:
    """Return the text without the middle of its endless lines: where it is, and what is wrong, stand at their ends."""
    if len(text) <= LINE_CHARACTERS_MAX:
        return text
    half = LINE_CHARACTERS_MAX // 2
    lines = (
        line if len(line) <= LINE_CHARACTERS_MAX else f"{line[:half]} … {line[-half:]}" for line in text.split("\n")
    )
    return "\n".join(lines)[:CHARACTERS_MAX]
