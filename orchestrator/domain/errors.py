"""Define the expected errors. An error has cause, place and remedy. Each class has an exit code."""

from __future__ import annotations

from enum import IntEnum

from orchestrator.domain.credentials import without_credentials

LINE_CHARACTERS_MAX = 2_000
"""The longest line of an error, because errors quote files and devices, whose texts may be endless."""

CHARACTERS_MAX = 20_000
"""The longest error."""


class ExitCode(IntEnum):
    """Name the exit codes of commands."""

    FINE = 0
    REGRESSION = 1
    USAGE = 2
    INCOMPLETE = 3
    INFRASTRUCTURE = 4


class OrchestratorError(Exception):
    """An expected failure: a message with cause and place, and a hint with the remedy.

    `code` is the public name of the kind of error, in JSON and JUnit output. A class may be renamed, its code may not.
    """

    code = "OrchestratorError"
    exit_code = ExitCode.INFRASTRUCTURE

    def __init__(self, message: str, hint: str | None = None) -> None:
        # Both to the base class: pickle calls the class again with these arguments.
        # Here, because an error quotes files, URLs and libraries, and reaches terminals, logs and JSON on many ways.
        self.message = without_credentials(_shortened(message))
        self.hint = hint and without_credentials(_shortened(hint))
        super().__init__(self.message, self.hint)

    def __str__(self) -> str:
        return self.message


class ConfigError(OrchestratorError):
    """A file, a flag or a selector is wrong. The message begins with file:line if there is one."""

    code = "ConfigError"
    exit_code = ExitCode.USAGE


class NothingToCompare(ConfigError):
    """The question is well put, and the runs at hand hold no answer: a page says so instead of failing."""

    code = "NothingToCompare"


class NothingToRun(OrchestratorError):
    """Every cell that was asked for has a counted result already. Nothing is wrong."""

    code = "NothingToRun"
    exit_code = ExitCode.FINE


class IncompleteError(OrchestratorError):
    """Some trials have no result."""

    code = "IncompleteError"
    exit_code = ExitCode.INCOMPLETE


class StoreError(OrchestratorError):
    """The database cannot be reached, is locked, is too old or refused a statement."""

    code = "StoreError"


class BadDatabaseUrl(StoreError):
    """The database's URL is wrong, or of an unknown kind."""

    code = "BadDatabaseUrl"
    exit_code = ExitCode.USAGE


class WrongSchema(StoreError):
    """The database is at another schema than the code, and nobody who may is asked to upgrade the database."""

    code = "WrongSchema"


class CorruptLog(StoreError):
    """A device's log cannot be stored: a gap, a bad checksum, nonsense. The other devices are not concerned."""

    code = "CorruptLog"

    def __init__(self, device: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{device}: {message}", hint)
        self.device = device


class LeaseLost(StoreError):
    """Another controller has taken over the device. Further writes of the old controller are refused."""

    code = "LeaseLost"
    exit_code = ExitCode.INCOMPLETE

    def __init__(self, device: str, message: str, hint: str | None = None) -> None:
        super().__init__(f"{device}: {message}", hint)
        self.device = device


class ClaimLost(StoreError):
    """Another daemon has claimed the submission, or a person has cancelled it. The old claim writes nothing more."""

    code = "ClaimLost"
    exit_code = ExitCode.INCOMPLETE


class BundleError(OrchestratorError):
    """A runtime could not be resolved or packed, for a reason other than "no wheel exists"."""

    code = "BundleError"


class NoSuchRelease(BundleError):
    """The package index knows the runtime, but not the version pinned by the sweep."""

    code = "NoSuchRelease"
    exit_code = ExitCode.USAGE

    def at(self, where: str) -> NoSuchRelease:
        """Return the error with the file:line of the pinned version."""
        return NoSuchRelease(f"{where}: {self.message}" if where else self.message, self.hint)


class BlobError(OrchestratorError):
    """A file of a plan is missing, or does not match the hash."""

    code = "BlobError"


class DeviceError(OrchestratorError):
    """A device failed at a step. The sweep goes on without the device."""

    code = "DeviceError"
    # Only a lost or missing connection may be gone at the next try. All else would fail the same way again.
    retryable = False

    def __init__(self, message: str, hint: str | None = None, *, device: str = "", step: str = "") -> None:
        super().__init__(message, hint)
        self.device = device
        self.step = step

    def at(self, device: str, step: str) -> DeviceError:
        """Add the device and the step, unless an inner layer already has, and return the error."""
        self.device = self.device or device
        self.step = self.step or step
        return self

    def __str__(self) -> str:
        where = ": ".join(part for part in (self.device, self.step) if part)
        return f"{where}: {self.message}" if where else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Errors come back from gateways by pickle, which would call the class with the message alone.
        return _rebuild, (type(self), self.message, self.hint, self.device, self.step)


def _rebuild(kind: type[DeviceError], message: str, hint: str | None, device: str, step: str) -> DeviceError:
    return kind(message, hint, device=device, step=step)


class Unreachable(DeviceError):
    """No connection: refused, timed out, no route, name unknown."""

    code = "Unreachable"
    retryable = True


class NoAnswer(Unreachable):
    """The device itself does not answer. Failures on the way there, or on our side, are of other classes."""

    code = "NoAnswer"


class LinkLost(DeviceError):
    """An open connection ended or fell silent."""

    code = "LinkLost"
    retryable = True


class GatewayLost(LinkLost):
    """The gateway that held the connection is gone."""

    code = "GatewayLost"


class RayUnavailable(OrchestratorError):
    """Ray is not installed, or the cluster does not answer."""

    code = "RayUnavailable"


class SitesLeft(OrchestratorError):
    """Devices of sites are left unfinished: the site, or its way to the database, has gone."""

    code = "SitesLeft"


class SiteAbsent(OrchestratorError):
    """No node of the Ray cluster is at a site."""

    code = "SiteAbsent"


class RunnerStopped(DeviceError):
    """A device's runner ended before the plan. The device answers."""

    code = "RunnerStopped"


class SurvivorLeft(RunnerStopped):
    """A process of an ended trial still runs on the device, and the device's user may not end the process."""

    code = "SurvivorLeft"


class NoProgress(DeviceError):
    """A device answers, and its run does not move: no new record for longer than any trial of the plan may take."""

    code = "NoProgress"


class AuthenticationFailed(DeviceError):
    """The device refused all offered keys."""

    code = "AuthenticationFailed"


class HostKeyUnknown(DeviceError):
    """The device's host key was never enrolled."""

    code = "HostKeyUnknown"


class HostKeyChanged(DeviceError):
    """The device shows another host key than the recorded key."""

    code = "HostKeyChanged"


class NoPython(DeviceError):
    """The device has no Python at the place named by the inventory, or a Python too old for the worker."""

    code = "NoPython"


class DeviceBusy(DeviceError):
    """Another run holds the device."""

    code = "DeviceBusy"


class DeviceReserved(DeviceError):
    """Another run or reservation has the device, by this database."""

    code = "DeviceReserved"


class StaleLease(DeviceError):
    """The device knows of a newer lease than the lease of the start."""

    code = "StaleLease"


class DeviceDiskFull(DeviceError):
    """The device's disk has no room for required files."""

    code = "DeviceDiskFull"


class DeviceUnfit(DeviceError):
    """The device is in a state in which measurements would be wrong or lost."""

    code = "DeviceUnfit"


class DeviceQuarantined(DeviceError):
    """A person, or a recovery that did not help, keeps runs from the device."""

    code = "DeviceQuarantined"


class RebootFailed(DeviceError):
    """The device would not reboot, or does not tell one boot from another."""

    code = "RebootFailed"


class PowerSwitchFailed(DeviceError):
    """A command that switches the device's power failed."""

    code = "PowerSwitchFailed"


class MeterFailed(OrchestratorError):
    """A power meter does not answer, or answers something else than a power."""

    code = "MeterFailed"


class WorkerFailed(DeviceError):
    """The worker answered with an error, or against the protocol."""

    code = "WorkerFailed"


class BlobDamaged(WorkerFailed):
    """A file arrived on the device with other content than was sent. The file may be sent again."""

    code = "BlobDamaged"


def _shortened(text: str) -> str:
    """Return the text with the middle cut out of endless lines.

    Place and cause of an error stand at the beginning and at the end of a line.
    """
    if len(text) <= LINE_CHARACTERS_MAX:
        return text
    # The middle goes, line by line: a hint of several lines keeps its shape.
    half = LINE_CHARACTERS_MAX // 2
    lines = (
        line if len(line) <= LINE_CHARACTERS_MAX else f"{line[:half]} … {line[-half:]}" for line in text.split("\n")
    )
    return "\n".join(lines)[:CHARACTERS_MAX]  # many short lines can be endless too
