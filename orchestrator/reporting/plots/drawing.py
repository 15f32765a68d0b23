"""Draw a figure with matplotlib, without a display and without any state of its own between two figures."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from orchestrator.domain.errors import ConfigError
from orchestrator.domain.figure import Figure, IntervalsFigure, LinesFigure, SpotsFigure
from orchestrator.domain.metric import Unit
from orchestrator.reporting.tables import numbers
from orchestrator.reporting.text import clean

FORMATS = ("svg", "png")
_WIDTH, _ROW, _LABEL_MAX = 9.0, 0.28, 70
_NAMED_MAX, _ROWS_MAX = 40, 600
"""So many spots have a name: a front of more cannot be read in a picture."""
_AROUND = timedelta(hours=12)
_RULES: Any = {
    # The one key that stays as the user's file has it.
    "timezone": "UTC",
    # Words of a device are words: a pair of $ is no formula.
    "text.parse_math": False,
    # Text stays text, which can be searched, and equal figures are equal bytes.
    "svg.fonttype": "none",
    "svg.hashsalt": "benchfleet",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def drawn(figure: Figure, form: str) -> bytes:
    """Return a figure as SVG or PNG. Raise ConfigError where matplotlib cannot be imported."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure as Canvas
    except ImportError as error:
        raise ConfigError(
            f"a plot needs matplotlib, which cannot be imported: {error}", "pip install 'benchfleet[plot]'"
        ) from None
    stream = io.BytesIO()
    with mpl.rc_context():
        mpl.rcdefaults()  # a matplotlibrc of the user's may ask for TeX, other scales or colours
        mpl.rcParams.update(_RULES)
        canvas = Canvas(figsize=(_WIDTH, _height(figure)), layout="constrained")
        axes = canvas.add_subplot()
        if isinstance(figure, IntervalsFigure):
            _intervals(axes, figure)
        elif isinstance(figure, LinesFigure):
            _lines(axes, figure)
        else:
            _spots(axes, figure)
        # Without the date: the same figures give the same file.
        metadata = {"Date": None} if form == "svg" else {}
        canvas.savefig(stream, format=form, dpi=150, metadata=metadata)
    return stream.getvalue()


def _height(figure: Figure) -> float:
    if isinstance(figure, IntervalsFigure):
        return 1.4 + _ROW * min(len(figure.rows), _ROWS_MAX)
    named = sum(one.on_front for one in figure.spots[:_NAMED_MAX]) if isinstance(figure, SpotsFigure) else 0
    return 5.0 + 0.08 * named


def _short(label: str) -> str:
    text = clean(label)
    return text if len(text) <= _LABEL_MAX else f"{text[: _LABEL_MAX - 1]}…"


def _ticks(unit: Unit) -> Callable[[float, int], str]:
    return lambda value, _: numbers.quantity(value, unit)


def _remark(title: str, left_out: int) -> str:
    return _short(title) if not left_out else f"{_short(title)}, {left_out} cells without a value"


def _intervals(axes: Any, figure: IntervalsFigure) -> None:
    for place, row in enumerate(figure.rows):
        if row.low is not None and row.high is not None:
            axes.plot([row.low, row.high], [place, place], color="C0", linewidth=1.5)
        axes.plot([row.value], [place], "o", color="C0", markersize=4)
    axes.set_yticks(range(len(figure.rows)), [_short(row.label) for row in figure.rows])
    axes.invert_yaxis()  # the first row on top, as in a table
    axes.xaxis.set_major_formatter(_ticks(figure.unit))
    axes.set_xlabel(
        f"{clean(figure.metric)}, geometric mean over trials, 95 % interval with the noise of the device's cells"
    )
    axes.set_title(_remark(figure.title, figure.left_out), loc="left")


def _lines(axes: Any, figure: LinesFigure) -> None:
    for place, line in enumerate(figure.lines):
        colour = f"C{place % 10}"
        known = [one for one in line.moments if one.value is not None]
        axes.plot([one.at for one in known], [one.value for one in known], "o-", color=colour, markersize=3, lw=0.8)
        # matplotlib takes a label that begins with an underscore for a private one.
        axes.lines[-1].set_label(_short(line.label).lstrip("_"))
        for one in known:
            if one.low is not None and one.high is not None:
                axes.plot([one.at, one.at], [one.low, one.high], color=colour, linewidth=0.8, alpha=0.5)
        for at in line.steps:
            axes.axvline(at, color=colour, linestyle=":", linewidth=1)
        if line.baseline is not None:
            axes.axhline(line.baseline, color=colour, linestyle="--", linewidth=0.8)
    moments = {one.at for line in figure.lines for one in line.moments}
    if len(moments) == 1:
        # A single date would have years around it.
        (at,) = moments
        axes.set_xlim(at - _AROUND, at + _AROUND)
    axes.yaxis.set_major_formatter(_ticks(figure.unit))
    axes.set_title(_short(figure.title), loc="left")
    axes.set_xlabel("begin of the run (UTC)")
    axes.set_ylabel(f"{clean(figure.metric)}, 95 % interval with the noise of the series")
    axes.tick_params(axis="x", rotation=30)
    axes.legend(fontsize=7, loc="best")


def _spots(axes: Any, figure: SpotsFigure) -> None:
    for is_front, marker, words in ((True, "D", "on the front of its device"), (False, "o", "beaten by another cell")):
        spots = [spot for spot in figure.spots if spot.on_front is is_front]
        if spots:
            colour = "C0" if is_front else "0.6"
            axes.plot([one.x for one in spots], [one.y for one in spots], marker, color=colour, label=words)
    for place, spot in enumerate([one for one in figure.spots if one.on_front][:_NAMED_MAX], 1):
        # A number beside the spot and its name below: names beside spots would cover each other.
        axes.annotate(str(place), (spot.x, spot.y), textcoords="offset points", xytext=(5, 4), fontsize=7)
        axes.plot([], [], " ", label=f"{place}: {_short(spot.label)}")
    axes.xaxis.set_major_formatter(_ticks(figure.x_unit))
    axes.yaxis.set_major_formatter(_ticks(figure.y_unit))
    axes.set_xlabel(clean(figure.x_metric))
    axes.set_ylabel(clean(figure.y_metric))
    axes.set_title(_remark(figure.title, figure.left_out), loc="left")
    axes.figure.legend(fontsize=6, loc="outside lower left", ncols=2)
