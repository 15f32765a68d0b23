"""Make the variants of a recipe, each from its parent's network: train, convert, score."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from orchestrator.domain.errors import ConfigError
from orchestrator.models.conversion import further_files, networks, onnx_files, scoring, tflite_files, training
from orchestrator.models.conversion.data import Samples, read_samples
from orchestrator.models.conversion.steps import Steps, hash_of, key_of
from orchestrator.models.conversion.words import made_words
from orchestrator.specs.recipe import ONNX_ENDINGS, RecipeSection, RecipeVariantSection

_TOOLS = ("tensorflow", "tf-keras", "keras", "tensorflow-model-optimization", "onnxruntime", "onnx")
_SCORE_FILE = "score.json"


@dataclass(frozen=True, slots=True)
class _Made:
    """Hold the network of a variant: the file, and the key of the step that made it."""

    file: Path
    key: str


def make_all(recipe: RecipeSection, home: Path, out: Path, steps: Path) -> str:
    """Make every variant into `out`, and return the report as JSON. Raise ConfigError for what cannot be made."""
    maker = _Maker(recipe, home, out, Steps(steps, _say))
    variants = {name: maker.make(name) for name in recipe.variants}
    return json.dumps({"variants": variants, "datasets": maker.datasets()})


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")


class _Maker:
    """Make variants in the order of the recipe."""

    def __init__(self, recipe: RecipeSection, home: Path, out: Path, steps: Steps) -> None:
        self._recipe = recipe
        self._home = home
        self._out = out
        self._steps = steps
        self._networks: dict[str, _Made] = {}
        self._tools = _versions()
        self._train = _samples(home, recipe.data.train)
        self._test = _samples(home, recipe.data.test)
        training.make_deterministic(recipe.seed)

    def make(self, name: str) -> dict[str, Any]:
        """Make a variant, and return what the report says of it."""
        one = self._recipe.variants[name]
        network = self._networks[name] = self._network(name, one)
        is_onnx = network.file.suffix in ONNX_ENDINGS
        file = f"{self._recipe.recipe}-{name}.{'onnx' if is_onnx else 'tflite'}"
        inputs = {
            "step": "convert",
            "network": network.key,
            "quantise": one.quantise,
            "samples": one.samples,
            "per_channel_dense": one.per_channel_dense,
            **({"symmetric": True} if one.symmetric else {}),  # steps of earlier releases stay as they are
            "train": None if self._train is None else self._train.sha256,
            "test": None if self._test is None else self._test.sha256,
            "tools": self._tools,
        }

        def convert(folder: Path) -> None:
            made = folder / file
            convert_file = onnx_files.convert if is_onnx else tflite_files.convert
            convert_file(network.file, made, one, self._train)
            score = {} if self._test is None else {"top1": scoring.top1(made, self._test)}
            (folder / _SCORE_FILE).write_text(json.dumps(score), encoding="utf-8")

        # The name of the file is an input, too: the same step under another name has another file.
        kept = self._steps.take(f"{name}: converting ({one.quantise})", {**inputs, "file": file}, convert)
        shutil.copyfile(kept / file, self._out / file)
        first = {"file": file, "accuracy": json.loads((kept / _SCORE_FILE).read_text(encoding="utf-8"))}
        further = {form: self._further(name, form, kept / file) for form in dict.fromkeys(one.also)}
        return {
            "artifacts": {"onnx" if is_onnx else "tflite": first, **further},
            "made": made_words(one, self._tools, "onnxruntime" if is_onnx else "tensorflow"),
            "parent": one.parent,
        }

    def _further(self, name: str, form: str, converted: Path) -> dict[str, Any]:
        """Write a converted file in a further format, and return what the report says of that."""
        file = f"{self._recipe.recipe}-{name}.{further_files.ENDINGS[form]}"
        inputs = {
            "step": "further",
            "form": form,
            "file": file,
            "of": hash_of(converted),
            "test": None if self._test is None else self._test.sha256,
            "tools": further_files.versions_of(form),
        }

        def write(folder: Path) -> None:
            shape = () if self._test is None else (1, *self._test.x.shape[1:])
            further_files.write(form, converted, folder / file, shape)
            scored = {} if self._test is None else further_files.score(form, folder / file, self._test)
            (folder / _SCORE_FILE).write_text(json.dumps(scored), encoding="utf-8")

        kept = self._steps.take(f"{name}: writing for {form}", inputs, write)
        shutil.copyfile(kept / file, self._out / file)
        return {"file": file, **json.loads((kept / _SCORE_FILE).read_text(encoding="utf-8"))}

    def datasets(self) -> Mapping[str, Any]:
        """Return the held-out set, copied to the other files."""
        if self._test is None or self._recipe.data.test is None:
            return {}
        target = self._out / self._recipe.data.test
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(self._home / self._recipe.data.test, target)
        return {self._recipe.data.test: {"samples": len(self._test.y)}}

    def _network(self, name: str, one: RecipeVariantSection) -> _Made:
        parent = self._networks[one.parent] if one.parent is not None else None
        given = self._home / one.network if one.network is not None else None
        if given is not None and not given.is_file():
            raise ConfigError(f"{given}: no such file, which the variant {name} is made of")
        if one.train is None:
            if given is not None and given.suffix == ".py":
                raise ConfigError(
                    f"{name}: a network of Python code has to be trained", hint="write train: {epochs: 5}"
                )
            found = _Made(given, key_of({"file": hash_of(given)})) if given is not None else parent
            assert found is not None
            return found
        inputs = {
            "step": "train",
            "form": networks.FILE,
            "parent": None if parent is None else parent.key,
            "network": None if given is None else hash_of(given),
            "method": one.method,
            "declared": one.model_dump(include={"prune", "cluster", "quantisation_aware", "distil", "train"}),
            "seed": self._recipe.seed,
            "train": None if self._train is None else self._train.sha256,
            "tools": self._tools,
        }

        def train(folder: Path) -> None:
            assert self._train is not None
            began = networks.begin(given, parent.file if parent is not None else None)
            made = training.train(began, one, self._train, self._recipe.seed)
            networks.save(made, folder / networks.FILE)

        kept = self._steps.take(f"{name}: training ({one.method or 'plain'})", inputs, train)
        return _Made(kept / networks.FILE, key_of(inputs))


def _samples(home: Path, name: str | None) -> Samples | None:
    return None if name is None else read_samples(home / name)


def _versions() -> dict[str, str]:
    found = {}
    for tool in _TOOLS:
        try:
            found[tool] = version(tool)
        except PackageNotFoundError:
            continue
    return found
