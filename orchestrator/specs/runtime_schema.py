"""Declare the sections of a sweep's `runtimes`: packages, programs, and served models."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from orchestrator.domain.quoting import quoted
from orchestrator.domain.runtime import RuntimeSource
from orchestrator.specs.runtime import EXEC_FORM, PACKAGE_PATTERN, RUNTIME_PATTERN, parse_package, parse_runtime
from orchestrator.specs.schema import Refused, Section, refusing
from orchestrator.specs.words import FormatName, Name, Text, pattern

_URL_OR_SERVE = "url: of a server that is there; serve: to start one"
_TEMPLATE = """template: {path: /predict, ready_path: /, body: '{"inputs": ${input}}', outputs: {y: /outputs}}"""
_ARGUMENT_BYTES_MAX = 100_000
"""Below MAX_ARG_STRLEN of Linux, which is 131,072."""
_INPUT = re.compile(r"\$\{[^}]+\}")
_PATH = re.compile(r"/[!$-~]*")
_POINTER = re.compile(r"(?:/(?:[^~/]|~[01])*)*")


def is_argument(text: str) -> str:
    """Return a word of a command line. Raise Refused for what Linux takes as none."""
    if "\0" in text:  # no process can be started with such an argument
        raise Refused("has a NUL character")
    if len(text.encode(errors="replace")) > _ARGUMENT_BYTES_MAX:
        raise Refused(f"has more than {_ARGUMENT_BYTES_MAX} bytes: Linux takes no such argument", "write a file")
    return text


def _is_runtime(text: str) -> str:
    parse_runtime(text)
    return text


def _form_of_runtime(value: Any) -> str:
    if isinstance(value, dict):
        return RuntimeSource.ENDPOINT.value if "endpoint" in value else RuntimeSource.EXEC.value
    return RuntimeSource.BUNDLE.value


def _is_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise Refused(f"{quoted(text)} is no address of a server", "write http://HOST:PORT, or https")
    if parts.username is not None or parts.password is not None:
        raise Refused("the address has a user name or a password, which plans and results would show", "leave it out")
    return text


def _is_path(text: str) -> str:
    if not _PATH.fullmatch(text):
        raise Refused(f"{quoted(text)} is no path of an address", "write /PATH, with %20 for a space")
    return text


def _is_body(text: str) -> str:
    try:
        # With numbers in the places of inputs.
        json.loads(_INPUT.sub("[0]", text))
    except ValueError as error:
        raise Refused(f"the body is no JSON: {error}", _TEMPLATE) from None
    if not _INPUT.search(text):
        raise Refused("the body asks for no input", "write ${input} where the numbers belong")
    return text


def _is_pointer(text: str) -> str:
    if not _POINTER.fullmatch(text):
        raise Refused(f"{quoted(text)} is no JSON Pointer", 'write /KEY/KEY, with ~1 for a / in a key, or ""')
    return text


Argument = Annotated[str, AfterValidator(is_argument)]
RuntimeText = Annotated[str, AfterValidator(refusing(_is_runtime)), pattern(RUNTIME_PATTERN)]
Url = Annotated[str, AfterValidator(_is_url), pattern("https?://[^?#@]+")]
PackageText = Annotated[str, AfterValidator(refusing(parse_package)), pattern(PACKAGE_PATTERN)]
UrlPath = Annotated[str, AfterValidator(_is_path), pattern(_PATH.pattern)]
Body = Annotated[str, AfterValidator(_is_body), Field(max_length=100_000)]
Pointer = Annotated[str, AfterValidator(_is_pointer), pattern(_POINTER.pattern)]


class ExecSection(Section):
    """Declare a user's program: name, command, files, and the format of the model to read."""

    name: Name
    """The name of the program. Its cells have the runtime `exec/NAME`."""
    command: list[Argument] = Field(min_length=1)
    """The words of the command, run in the folder of the trial without a shell."""
    files: list[Text] = Field(default_factory=list)
    """Files of the controller that are laid beside the model, relative to the sweep file."""
    format: FormatName | None = None
    """The format of the model that the program reads. Without it, the first artifact of a variant."""
    packages: list[PackageText] = Field(default_factory=list, min_length=1)
    """Pinned Python packages: the program finds their files in the folder `BENCHFLEET_PACKAGES`."""


class ExecEntry(Section):
    """Declare a program among the `runtimes`."""

    exec_: ExecSection = Field(alias="exec")
    """A program of yours, as docs/exec.md describes."""

    @model_validator(mode="before")
    @classmethod
    def _is_exec(cls, value: Any) -> Any:
        """Refuse an entry that is no program at all."""
        # Before the fields, which would complain of every key.
        if isinstance(value, dict) and "exec" not in value:
            raise Refused("neither the name of a runtime nor `exec`", EXEC_FORM)
        return value


class ServeSection(Section):
    """Declare how each trial starts the server on the device."""

    command: list[Argument] = Field(min_length=1)
    """The words of the command. The server listens at the port `BENCHFLEET_PORT` of 127.0.0.1, until it is ended."""
    files: list[Text] = Field(default_factory=list)
    """Files of the controller that are laid beside the model, relative to the sweep file."""
    ready_s_max: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """The longest time until the model can be asked, in seconds."""


class TemplateSection(Section):
    """Declare how any server is asked in JSON over HTTP."""

    method: Literal["POST", "PUT"] = "POST"
    """The method of a request."""
    path: UrlPath
    """Where requests go, below the address."""
    ready_path: UrlPath
    """A path, below the address, that answers GET with success once the model can be asked."""
    body: Body
    """The body of a request, in JSON. `${NAME}` stands for the numbers of that input as nested lists; `${input}` for
    an input that model.yaml declares without a name."""
    outputs: Annotated[dict[Name, Pointer], Field(min_length=1)]
    """Where each output stands in an answer, as a JSON Pointer: `/predictions`, or "" for the whole answer."""


class EndpointSection(Section):
    """Declare a served model: protocol, name, and the server's address or how to start the server."""

    name: Name | None = None
    """The name of the endpoint. Its cells have the runtime `endpoint/NAME`. Without it, the protocol."""
    protocol: Literal["kserve-v2", "kserve-v2-grpc", "tf-serving", "tf-serving-grpc", "http"]
    """How the server is asked. `kserve-v2`: the Open Inference Protocol over HTTP, as of Triton and MLServer.
    `tf-serving`: TensorFlow Serving's REST API. With `-grpc`: over gRPC. `http`: as `template` says."""
    model: Text
    """The name of the model at the server."""
    version: Text | None = None
    """The version of the model at the server. Without it, the server chooses."""
    url: Url | None = None
    """The address of a server that is there, as the device sees it. Needed without `serve`."""
    signature: Text | None = None
    """The signature of a TensorFlow model. Without it, `serving_default`."""
    template: TemplateSection | None = None
    """How requests of the protocol `http` are written, and where outputs stand in an answer."""
    serve: ServeSection | None = None
    """How each trial starts a server of its own, in place of `url`."""
    packages: list[PackageText] = Field(default_factory=list, min_length=1)
    """Pinned Python packages for the server, in the folder `BENCHFLEET_PACKAGES`; the client takes numpy from there."""
    format: FormatName | None = None
    """The format of the model that the server reads. Without it, the first artifact of a variant."""

    @model_validator(mode="after")
    def _has_a_server(self) -> EndpointSection:
        if (self.url is None) == (self.serve is None):
            raise Refused("a served model has either `url` or `serve`", _URL_OR_SERVE)
        return self

    @model_validator(mode="after")
    def _has_what_the_protocol_takes(self) -> EndpointSection:
        if (self.template is None) == (self.protocol == "http"):
            words = "`template` is of the protocol http" if self.template else "the protocol http needs a `template`"
            raise Refused(words, _TEMPLATE)
        if self.signature is not None and not self.protocol.startswith("tf-serving"):
            raise Refused("`signature` is of the protocols tf-serving and tf-serving-grpc", "leave it out")
        if self.protocol.endswith("-grpc") and self.url is not None and urlsplit(self.url).path.strip("/"):
            raise Refused("an address of gRPC has no path", "write http://HOST:PORT, or https")
        return self


class EndpointEntry(Section):
    """Declare a served model among the `runtimes`."""

    endpoint: EndpointSection
    """A model that a server has, as docs/endpoints.md describes."""


RuntimeEntry = Annotated[
    Annotated[RuntimeText, Tag(RuntimeSource.BUNDLE.value)]
    | Annotated[ExecEntry, Tag(RuntimeSource.EXEC.value)]
    | Annotated[EndpointEntry, Tag(RuntimeSource.ENDPOINT.value)],
    Discriminator(_form_of_runtime),
]
