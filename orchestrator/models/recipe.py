"""Run a model's recipe, and read the recipe's report."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import IO

from pydantic import BaseModel, Field, ValidationError, model_validator

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.model import Artifact, Format, Variant

_STDERR_LINES_KEPT = 5
_OF_THE_EXTRA = frozenset({"onnx", "onnxruntime", "sklearn", "tensorflow", "tensorflow_model_optimization", "tf_keras"})
_CONVERSION = "orchestrator.models.conversion"
_MISSING_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")


class BuiltFile(BaseModel):
    """Hold an artifact of a recipe, with the measured accuracy.

    `unscored` is the reason why a further artifact of a variant was not scored.
    """

    file: str
    accuracy: dict[str, float] = Field(default_factory=dict)
    unscored: str | None = None


class BuiltVariantFiles(BaseModel):
    """Hold a variant of a recipe: a single file, or several files by format."""

    file: str | None = None
    accuracy: dict[str, float] = Field(default_factory=dict)
    artifacts: dict[Format, BuiltFile] = Field(default_factory=dict)
    made: str | None = None
    parent: str | None = None

    @model_validator(mode="after")
    def _names_a_file(self) -> BuiltVariantFiles:
        if self.file is None and not self.artifacts:
            raise ValueError("a variant needs `file` or `artifacts`")
        return self

    def built(self, variant: Variant, format_: Format) -> BuiltFile | None:
        """Return the file of an artifact. A file without a format is the variant's only artifact."""
        if self.file is not None and len(variant.artifacts) == 1:
            return BuiltFile(file=self.file, accuracy=self.accuracy)
        return self.artifacts.get(format_)


class BuiltData(BaseModel):
    """Hold a data set of a recipe."""

    samples: int


class RecipeReport(BaseModel):
    """Hold a recipe's report: the last line of standard output."""

    variants: dict[str, BuiltVariantFiles]
    datasets: dict[str, BuiltData] = Field(default_factory=dict)

    def built(self, variant: Variant, artifact: Artifact) -> BuiltFile | None:
        """Return the file of a declared artifact; None if the recipe names no such file."""
        found = self.variants.get(variant.name)
        return found.built(variant, artifact.format) if found else None


def unscored_lines(report: RecipeReport) -> list[str]:
    """Return a line for each artifact that was not scored, with the reason."""
    return [
        f"{name} ({form}): not scored: {made.unscored}"
        for name, variant in report.variants.items()
        for form, made in variant.artifacts.items()
        if made.unscored is not None
    ]


YAML_ENDINGS = (".yaml", ".yml")
"""The endings of recipes without code."""


def run_recipe(recipe: Path, out: Path, log: Callable[[str], None], steps: Path | None = None) -> RecipeReport:
    """Run the recipe in a separate process, and return the report from the last line of output.

    `out` is the folder for the built files. `steps` keeps the steps of a YAML recipe from one build to the next.
    Raise ConfigError if the recipe fails, or prints no report.
    """
    # A file rather than a second pipe: a recipe that fills a pipe which nobody reads would hang.
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stdout:
        process = subprocess.Popen(
            _command(recipe, out, steps or out / ".steps"),
            cwd=recipe.parent,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
        )
        with process:
            try:
                tail = _pass_on(process.stderr, log)
            except BaseException:  # Ctrl-C too: leaving the context would wait for a conversion of minutes
                process.kill()
                raise
        if process.returncode:
            raise _failure(recipe, process.returncode, tail)
        stdout.seek(0)
        lines = [line for line in stdout if line.strip()]
    try:
        return RecipeReport.model_validate_json(lines[-1] if lines else "")
    except ValidationError as error:
        raise ConfigError(
            f"{recipe}: its last line on standard output is not a report: {error.errors()[0]['msg']}",
            hint='print {"variants": {NAME: {"file": …, "accuracy": {…}}}, "datasets": {FILE: {"samples": …}}}; '
            'a variant of several formats is {"artifacts": {FORMAT: {"file": …, "accuracy": {…}}}}',
        ) from None


def _command(recipe: Path, out: Path, steps: Path) -> list[str]:
    # Without bytecode: a recipe's own modules lie in the model's folder, which belongs to people.
    if recipe.suffix not in YAML_ENDINGS:
        return [sys.executable, "-B", str(recipe), str(out)]
    # -P: a folder of the model called `orchestrator` must not stand in for ours.
    return [sys.executable, "-B", "-P", "-m", _CONVERSION, *(str(path.absolute()) for path in (recipe, out, steps))]


def _pass_on(stream: IO[str] | None, log: Callable[[str], None]) -> deque[str]:
    """Log each line at once, and return the last lines."""
    tail: deque[str] = deque(maxlen=_STDERR_LINES_KEPT)
    for line in stream or ():
        if text := line.rstrip():
            tail.append(text)
            log(text)
    return tail


def _failure(recipe: Path, exit_code: int, tail: deque[str]) -> ConfigError:
    missing = _MISSING_MODULE.search("\n".join(tail))
    if missing:
        module = missing.group(1)
        # The extra has what benchfleet's own recipes need, and a recipe of a lab may need anything.
        ours = module.partition(".")[0] in _OF_THE_EXTRA
        hint = "pip install 'benchfleet[convert]'" if ours else "install it into the Python that runs benchfleet"
        return ConfigError(f"{recipe} needs {module}, which is not installed here", hint=hint)
    ended = f"ended with exit code {exit_code}" if exit_code > 0 else f"was killed by signal {-exit_code}"
    return ConfigError(f"{recipe} {ended}: {tail[-1] if tail else 'it said nothing'}", hint="nothing was replaced")
