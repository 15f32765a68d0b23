"""Run as `python -m orchestrator.models.conversion RECIPE OUT STEPS`: make every variant of a recipe.

Progress goes to standard error. The last line of standard output is the report, one JSON object.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path


def main() -> int:
    """Make the variants, and print the report."""
    recipe, out, steps = (Path(word) for word in sys.argv[1:4])
    # oneDNN chooses kernels by processor, and so rounds otherwise on each.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # tensorflow-model-optimization knows the Keras before version 3 alone, under this name.
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    from orchestrator.domain.errors import ConfigError
    from orchestrator.specs.recipe import load_recipe

    try:
        # A mistake in the recipe is told before the imports, which take many seconds.
        read = load_recipe(recipe)
        # Libraries print to standard output, where the report stands alone.
        with contextlib.redirect_stdout(sys.stderr):
            from orchestrator.models.conversion.making import make_all

            report = make_all(read, recipe.parent, out, steps)
    except ConfigError as error:
        sys.stderr.write(f"{error.message}\n")
        return 2
    sys.stdout.write(report + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
