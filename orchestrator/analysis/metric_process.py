"""Run a metric of the user's on outputs, in a process of its own: `python metric_process.py FILE`.

On standard input: a line of JSON with the bounds, then an .npz archive with `outputs` and perhaps `labels`. The last
line of standard output is the answer in JSON. The file is the user's own program: bounds keep mistakes from taking the
machine, and are no wall against malice.
"""

from __future__ import annotations

import io
import json
import math
import os
import resource
import runpy
import sys
from typing import Any

_MESSAGE_CHARACTERS_MAX = 300


def main() -> None:
    """Read the question, bound this process, ask the user's function, and answer."""
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the user's program prints is no answer
    bounds = json.loads(sys.stdin.buffer.readline())
    for kind, limit in (
        (resource.RLIMIT_AS, bounds["memory_bytes"]),
        (resource.RLIMIT_CPU, bounds["seconds"]),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    try:
        said: dict[str, Any] = _ask(sys.argv[1])
    except MemoryError:
        said = {"error": "it takes more memory than it may"}
    except BaseException as error:  # noqa: BLE001 whatever the user's program raises, SystemExit too, is an answer
        words = f"{type(error).__name__}: {error}".splitlines()[0]
        said = {"error": words[:_MESSAGE_CHARACTERS_MAX]}
    answer.write(json.dumps(said).encode() + b"\n")
    answer.flush()
    os._exit(0)


def _ask(file: str) -> dict[str, Any]:
    import numpy as np

    with np.load(io.BytesIO(sys.stdin.buffer.read()), allow_pickle=False) as archive:
        outputs = archive["outputs"]
        labels = archive["labels"] if "labels" in archive.files else None
    metric = runpy.run_path(file).get("metric")
    if not callable(metric):
        return {"error": "it has no function `metric(outputs, labels)`"}
    returned = metric(outputs, labels)
    if returned is None:
        return {"error": "its metric returned nothing"}
    found = np.asarray(returned, dtype=np.float64)
    if found.ndim == 0:
        return {"value": float(found)} if math.isfinite(found) else {"error": f"it said {float(found)}"}
    if found.shape != (len(outputs),):
        return {"error": f"it said {list(found.shape)} values for {len(outputs)} inputs; one number, or one for each"}
    if not np.isfinite(found).all():
        return {"error": f"it said {float(found[~np.isfinite(found)][0])} for an input"}
    return {"value": float(found.mean()), "by_input": found.tolist()}


if __name__ == "__main__":
    main()
