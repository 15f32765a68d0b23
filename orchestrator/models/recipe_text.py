"""Describe what a recipe has made as the text of a model.yaml."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from orchestrator.models.described import read_file, word
from orchestrator.models.recipe import RecipeReport
from orchestrator.specs.document import parse_document
from orchestrator.specs.model import MODEL_FILE, ModelSection
from orchestrator.specs.recipe import RecipeSection
from orchestrator.specs.schema import check_section


def model_text(
    read: tuple[RecipeSection, str], report: RecipeReport, out: Path, hashes: Mapping[str, str], head: str
) -> str:
    """Return the text of the model.yaml of a recipe's files, which lie in `out`. `read` is the recipe with its file."""
    recipe, file = read
    lines = [head, f"# Written by `benchfleet models build` from {file}, which makes these files again.", ""]
    lines += [f"model: {word(recipe.recipe)}", f"description: {json.dumps(recipe.description, ensure_ascii=False)}"]
    lines += [f"task: {json.dumps(recipe.task, ensure_ascii=False)}", f"recipe: {json.dumps(file)}"]
    if recipe.license is not None:
        lines.append(f"license: {json.dumps(recipe.license, ensure_ascii=False)}")
    lines += [_input(recipe, report, out), ""]
    if report.datasets:
        lines.append("datasets:")
        lines += [
            f"  {json.dumps(name)}: {{sha256: {hashes[name]}, samples: {one.samples}}}"
            for name, one in report.datasets.items()
        ]
        lines.append("")
    lines += ["variants:", *_variants(recipe, report, out, hashes)]
    text = "\n".join(lines) + "\n"
    # What is written must load: a mistake here would be met by whoever runs the model.
    check_section(parse_document(text, MODEL_FILE), ModelSection)
    return text


def _input(recipe: RecipeSection, report: RecipeReport, out: Path) -> str:
    """Return the declaration of the inputs: shape as the first file has it, and float32 before any quantisation."""
    first = next(iter(report.variants.values()))
    form, made = next(iter(first.artifacts.items()))
    shape = [1 if size is None else size for size in read_file(out / made.file, form).inputs[0].shape or ()]
    return f"input: {{shape: {shape}, dtype: float32, low: {recipe.low}, high: {recipe.high}}}"


def _variants(recipe: RecipeSection, report: RecipeReport, out: Path, hashes: Mapping[str, str]) -> Iterator[str]:
    for name, variant in report.variants.items():
        form, made = next(iter(variant.artifacts.items()))
        yield f"  {word(name)}:"
        if len(variant.artifacts) == 1:
            yield f"    file: {json.dumps(made.file)}"
            yield f"    sha256: {hashes[made.file]}"
        # The numbers between the layers of such a file are wider than its weights, which a reader goes by.
        is_wide = recipe.variants[name].quantise == "int16x8"
        yield f"    precision: {'int16x8' if is_wide else read_file(out / made.file, form).precision}"
        if variant.parent is not None:
            yield f"    parent: {word(variant.parent)}"
        yield f"    made: {json.dumps(variant.made or 'not described yet', ensure_ascii=False)}"
        if made.accuracy:
            scores = ", ".join(f"{metric}: {value!r}" for metric, value in made.accuracy.items())
            yield f"    accuracy: {{{scores}}}"
        if len(variant.artifacts) > 1:
            yield "    artifacts:"
            for of, one in variant.artifacts.items():
                yield f"      {of.value}:"
                yield f"        file: {json.dumps(one.file)}"
                yield f"        sha256: {hashes[one.file]}"
