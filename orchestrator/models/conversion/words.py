"""Say in words how a variant was made, with the versions of the tools."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.specs.recipe import RecipeVariantSection

_QUANTISED = {
    "none": "converted without quantisation",
    "fp16": "weights stored as float16",
    "dynamic": "int8 weights, float32 in and out (dynamic range)",
    "int8": "full integer, calibrated on {samples} inputs",
    "int16x8": "int16 activations and int8 weights, calibrated on {samples} inputs",
}


def made_words(one: RecipeVariantSection, tools: Mapping[str, str], converter: str) -> str:
    """Return how a variant was made, without signs that YAML has a meaning for. `converter` is one of the tools."""
    return "; ".join([*_trained(one), _quantised(one), _by(one, tools, converter)])


def _trained(one: RecipeVariantSection) -> Iterator[str]:
    if one.prune is not None:
        yield f"pruned to {one.prune.sparsity:.0%} of zeros, reached after {one.prune.until:.0%} of the training"
    if one.cluster is not None:
        yield f"{one.cluster.clusters} values of weights in each layer"
    if one.quantisation_aware:
        yield "trained with the rounding of int8"
    if one.distil is not None:
        terms = f"temperature {one.distil.temperature:g}, alpha {one.distil.alpha:g}"
        yield f"{one.network} taught by {one.parent} ({terms})"
    if one.train is not None:
        yield f"{one.train.epochs} epochs at learning rate {one.train.learning_rate:g}"


def _quantised(one: RecipeVariantSection) -> str:
    words = _QUANTISED[one.quantise].format(samples=one.samples)
    if one.symmetric:
        words = f"{words}, with ranges around zero"
    return words if one.per_channel_dense or one.quantise == "none" else f"{words}, one scale for each dense layer"


def _by(one: RecipeVariantSection, tools: Mapping[str, str], converter: str) -> str:
    used = [converter]
    if one.train is not None:
        used += ["tf-keras"]
    if one.method in ("prune", "cluster", "quantisation_aware"):
        used += ["tensorflow-model-optimization"]
    return "by " + ", ".join(f"{name} {tools[name]}" for name in used if name in tools)
