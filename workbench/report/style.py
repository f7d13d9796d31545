"""How the workbench's figures look: one style, fixed colours for the two worlds, palettes safe for the colour-blind."""

from __future__ import annotations

import io
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

SIMULATED = "#0072B2"
"""Blue is simulated, in every figure."""
MEASURED = "#D55E00"
"""Vermilion is measured, in every figure."""
WORLDS = {"virtual": SIMULATED, "real": MEASURED}

# Okabe and Ito's palette without the two colours above: distinct to all common kinds of colour vision.
POINTS = ("#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5195", "#8C8C8C", "#000000")
"""For policies, libraries and other points, in the order they are declared."""
SITES = ("#56B4E9", "#E69F00", "#009E73", "#CC79A7", "#F0E442", "#8C8C8C")
"""For sites, in the order they are declared; light enough to be filled areas."""
FAULT = "#333333"
"""For the shading of a fault's time."""
INK = "#1a1a1a"
FAINT = "#5f6368"

WIDTH_IN = 10.0
"""The width of a full figure: 10 inches, 1000 pixels at 100 dots per inch."""
DPI = 160

_LINE = 90
"""Letters of a title that fit in a full figure's width."""
_LINE_OF_LABELS, _HANDLE = 130, 10
"""Letters of a legend that fit in a full figure's width, and how many a mark and its space take the room of."""
_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.titlesize": 12.0,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 11.0,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e5e8",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 10.0,
    "ytick.labelsize": 10.0,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "text.color": INK,
    "hatch.linewidth": 0.6,
    # Names come from the user: a dollar sign in one is a dollar sign.
    "text.parse_math": False,
}


@contextmanager
def applied() -> Iterator[None]:
    """Draws what is made inside in the workbench's style; settings outside are left as they were."""
    import matplotlib as mpl

    with mpl.rc_context(_SETTINGS):
        yield


def panels(rows: int, columns: int, *, height_in: float, share_y: bool = False) -> tuple[Figure, list[list[Axes]]]:
    """A figure of full width with a grid of panels, each of the given height, that keeps its labels apart."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(WIDTH_IN, rows * height_in), dpi=DPI, layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, sharey=share_y)
    return figure, [list(row) for row in axes]


def colours(names: Iterable[Hashable], palette: tuple[str, ...] = POINTS) -> dict[Hashable, str]:
    """A colour for each name, in order; after the last colour they begin again."""
    return {name: palette[place % len(palette)] for place, name in enumerate(dict.fromkeys(names))}


def short(label: str, length: int = 48) -> str:
    """The label, cut with an ellipsis where it would push the panels off the figure."""
    return label if len(label) <= length else f"{label[: length - 1].rstrip()}…"


def title(first: str, second: str, columns: int) -> str:
    """A panel's title in a figure of so many columns: on one line where it fits, else on two, each cut to fit."""
    fits = _LINE // columns
    line = f"{first} {second}".strip()
    return line if len(line) <= fits or not first else f"{short(first, fits)}\n{short(second, fits)}"


def legend_columns(labels: Sequence[str], most: int) -> int:
    """How many columns a legend below the figure may have, so that it is no wider than the figure."""
    longest = max((len(label) for label in labels), default=0)
    return max(1, min(most, len(labels), _LINE_OF_LABELS // (longest + _HANDLE)))


def png(figure: Figure, footer: str = "") -> bytes:
    """The figure as a PNG file, 1600 pixels wide, the footer in a strip below it; equal figures give equal bytes."""
    import numpy as np
    from PIL import Image

    with applied():
        strips = [_pixels(figure)] + ([_pixels(_footer(footer))] if footer else [])
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(strips)).save(buffer, format="png", optimize=True)
    return buffer.getvalue()


def _footer(text: str) -> Figure:
    # A figure of its own: below a legend outside the panels there is no place that the layout knows of.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, 0.1 + 0.15 * len(text.splitlines())), dpi=DPI)
    figure.text(0.012, 0.97, text, va="top", fontsize=8.5, color=FAINT)
    return figure


def _pixels(figure: Figure) -> NDArray[np.uint8]:
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba(), np.uint8)[:, :, :3]
