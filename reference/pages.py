"""Write a page of every key of a kind of file, from its JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from reference.sections import resolved

_HEADS = {
    "sweep": """\
# Sweep files, key by key

A sweep is a grid: every variant of the model on every runtime with every combination of settings. `benchfleet init`
writes examples, and `benchfleet plan FILE` says what a sweep would do.

`models: [a, b]` in place of `model` makes a sweep of several models: a grid of each, in one run. Cells are then named
MODEL/VARIANT, rules may name the `model`, and each model is compared with itself alone. A night measures such a sweep
as one sweep for each model, called NAME-MODEL.

`run`, `plan` and `submit` take other values for once: `--set trials=10` sets any key below
(`--set measure.seconds_max=5`), and `--variants`, `--runtimes`, `--threads` and `--trials` are short for the usual
ones. A program of the sweep is named `exec/NAME` there. What was set is on record with the run: `runs show` names it,
and `runs resume` and `replay` keep to it.

`--missing` runs only the cells without a counted result for the same files, runtime, settings and device; `--stale 7d`
those too whose newest result is older. `run`, `plan`, `submit` and `schedule add` take both, and say
what they leave out:

    benchfleet run sweeps/quickstart.yaml --missing
    benchfleet plan sweeps/quickstart.yaml --stale 7d

A changed model, data set, package, program, environment or scenario is missing; more trials are not
(`runs resume RUN --trials +5`). Cells of `system/…` and of endpoints with a `url` always run: what is installed there
may have changed, and no file of the sweep tells. Results of excluded runs do not count. With nothing left, no run is
made, and the command exits 0 ([0060](decisions/0060-increments-compare-bytes.md)).
""",
    "model": """\
# Model files, key by key

A model is a folder with a `model.yaml`. `benchfleet models add` writes the description from the files, and
[own-model.md](own-model.md) is where to begin.
""",
    "recipe": """\
# Recipes, key by key

A recipe says in YAML how the variants of a model are made, one from the other: trained, pruned, clustered, distilled,
quantised. `benchfleet models build RECIPE` makes the files and writes `model.yaml` beside them; a second time it makes
the steps again whose inputs have changed, and no others. Needs the extra `convert`. `models/compressed` has an example.
`also: [openvino, ncnn]` is covered by the extra too, but for ncnn's converter: `pip install --no-deps pnnx`.
A step that is code is a Python file with a function `network()`. A recipe that is code altogether is a Python file,
too: `recipe: recipe.py` in model.yaml, as `models/digits` has it.
""",
    "inventory": """\
# Inventory files, key by key

All files of the folder `inventory` are read as one. `benchfleet init` writes `inventory/example-lab.yaml`, which shows
most forms. Where there is neither that folder nor a `benchfleet.toml`, here or above, this machine is the only device,
`local`.
""",
    "settings": """\
# Settings, key by key

Settings come from flags, then from `BENCHFLEET_*` variables, then from `benchfleet.toml`. Relative paths start from
the file.
""",
}
PAGES = {"sweep": "sweeps", "model": "models", "recipe": "recipes", "inventory": "inventory", "settings": "settings"}
"""The page in docs of each kind of file."""

_MARK = "<!-- Written by `python -m reference` from the code. -->"


def page(kind: str, schema: Mapping[str, Any]) -> str:
    """Return the page of a kind of file."""
    editors = (
        f"Editors complete and check these files by the JSON Schema that `benchfleet schema {kind}` prints. "
        "The files that benchfleet writes name it in their first line."
    )
    rows = (
        f"| `{key}` | {_escaped(value)} | {default} | {_escaped(about)} |"
        for key, value, default, about in _keys(schema, schema)
    )
    return "\n".join(
        [_HEADS[kind], editors, "", _MARK, "", "| key | value | default | meaning |", "|---|---|---|---|", *rows, ""]
    )


def _keys(part: Mapping[str, Any], root: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str, str, str]]:
    """Yield every key with value, default and meaning, those of sections below them."""
    required = part.get("required", ())
    for name, found in part.get("properties", {}).items():
        key = f"{above}{name}"
        default = "required" if name in required else _default(found)
        yield key, _value(found, root), default, str(found.get("description", ""))
        yield from _below(found, root, key)


def _below(found: Mapping[str, Any], root: Mapping[str, Any], key: str) -> Iterator[tuple[str, str, str, str]]:
    for choice in found.get("anyOf", found.get("oneOf", [found])):
        one = resolved(choice, root)
        if one.get("properties"):
            yield from _keys(one, root, f"{key}.")
        elif one.get("type") == "array":
            yield from _below(one["items"], root, f"{key}[]")
        elif isinstance(one.get("additionalProperties"), Mapping):
            yield from _below(one["additionalProperties"], root, f"{key}.NAME")


def _value(found: Mapping[str, Any], root: Mapping[str, Any]) -> str:
    """Return a value in words."""
    if choices := found.get("anyOf") or found.get("oneOf"):
        return " or ".join(dict.fromkeys(_value(one, root) for one in choices))
    one = resolved(found, root)
    if "enum" in one or "const" in one:
        return ", ".join(f"`{choice}`" for choice in one.get("enum", [one.get("const")]))
    kind = one.get("type")
    if isinstance(kind, list):
        return ", ".join(map(_plain, kind[:-1])) + f" or {_plain(kind[-1])}"
    if kind == "array":
        return f"list of {_value(one['items'], root)}"
    if kind == "object":
        inner = one.get("additionalProperties")
        return f"mapping of names to {_value(inner, root)}" if isinstance(inner, Mapping) else "mapping"
    return _plain(str(kind)) + _bounds(one)


def _plain(kind: str) -> str:
    return {"string": "text", "integer": "whole number", "boolean": "true or false"}.get(kind, kind)


def _bounds(one: Mapping[str, Any]) -> str:
    words = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}
    found = [f"{text} {one[name]:g}" for name, text in words.items() if name in one]
    return f", {' and '.join(found)}" if found else ""


def _default(found: Mapping[str, Any]) -> str:
    default = found.get("default")
    return "" if default is None or default in ([], {}) else f"`{json.dumps(default)}`"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|")
