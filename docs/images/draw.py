"""Draw what a command prints as SVG: python docs/images/draw.py FILE ARGUMENTS of benchfleet.

The README's picture is made in a lab, after a run of sweeps/quickstart.yaml, by the arguments
`compare.svg compare last --by variant --base fp32 --metric latency`.
"""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

WIDTH = 112
FONT = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"


def draw(arguments: list[str]) -> str:
    """Return a terminal with a command's output, as SVG. Fonts are those of the reader: no font is fetched."""
    environment = {**os.environ, "FORCE_COLOR": "1", "COLUMNS": str(WIDTH), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "orchestrator", *arguments]
    printed = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    console = Console(record=True, width=WIDTH, file=io.StringIO(), highlight=False, markup=False)
    console.print(f"$ benchfleet {' '.join(arguments)}", style="bold")
    console.print(Text.from_ansi(printed))
    form = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    return console.export_svg(title="benchfleet", code_format=form.replace("Fira Code, monospace", FONT))


if __name__ == "__main__":
    (Path(__file__).parent / sys.argv[1]).write_text(draw(sys.argv[2:]), encoding="utf-8")
