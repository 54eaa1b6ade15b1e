"""Drawing with matplotlib: the same input gives the same bytes, whatever the user's settings are."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.base.atomic_file import replace_file
from harness.model.outcome import Outcome
from harness.report.svg import compact
from harness.report.vocabulary import CLASSES, is_violation

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, FAINT, PALE, ALARM = "#222222", "#777777", "#EFEFEF", "#FBEDE6"
FONT = "DejaVu Sans"
"""It comes with matplotlib, so it is always found; an SVG falls back to any sans-serif font."""
FONT_SIZE = 8.5
PNG_DPI = 110

Box = tuple[float, float, float, float]
"""x, y, width, height."""


_SETTINGS = {
    "svg.hashsalt": "keyharness",
    "svg.fonttype": "none",
    "font.family": [FONT],
    "font.size": FONT_SIZE,
    "hatch.linewidth": 0.6,
    "path.simplify": False,
    "text.color": INK,
}


@contextmanager
def drawing() -> Iterator[None]:
    """Use only matplotlib's defaults and our settings inside the context."""
    logger = logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)  # its notes about font caches do not belong into a run's output
    try:
        import matplotlib

        settings: Any = {
            name: value
            for name, value in matplotlib.rcParamsDefault.items()
            if name not in ("backend", "backend_fallback", "interactive", "toolbar", "timezone")
        }
        settings |= _SETTINGS
        with matplotlib.rc_context(settings):
            yield
    finally:
        logger.setLevel(level)


def new_figure(width_in: float, height_in: float) -> Figure:
    """Make an empty figure; sizes are in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width_in, height_in), dpi=PNG_DPI, facecolor="white")


def axes(figure: Figure, box_in: Box) -> Axes:
    """Add axes without frame and ticks, at a place in inches from the figure's lower left corner."""
    width, height = figure.get_size_inches()
    x, y, w, h = box_in
    made = figure.add_axes((x / width, y / height, w / width, h / height))
    made.set_axis_off()
    return made


def write(figure: Figure, out: Path) -> Path:
    """Write a figure as SVG or PNG, by the file's suffix; in one step, without dates and versions."""
    out.parent.mkdir(parents=True, exist_ok=True)
    data = io.BytesIO()
    if out.suffix == ".png":
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        FigureCanvasAgg(figure).print_figure(data, format="png", dpi=figure.dpi, metadata={"Software": None})
        drawn = data.getvalue()
    else:
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        FigureCanvasSVG(figure).print_figure(data, format="svg", metadata={"Date": None, "Creator": None})
        drawn = compact(data.getvalue().decode(), FONT, FONT_SIZE, INK).encode()
    replace_file(out, drawn)
    return out


def boxes(target: Axes, places: Iterable[Box], **look: Any) -> None:
    """Draw many rectangles as one shape, which keeps the file small and the drawing quick."""
    import numpy as np
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path as Shape

    flat = np.array(list(places), dtype=float)
    if not len(flat):
        return
    x, y, w, h = flat.T
    corners = np.stack([[x, y], [x + w, y], [x + w, y + h], [x, y + h], [x, y]]).transpose(2, 0, 1)
    codes = np.tile([Shape.MOVETO, Shape.LINETO, Shape.LINETO, Shape.LINETO, Shape.CLOSEPOLY], len(flat))
    shape = PathPatch(Shape(corners.reshape(-1, 2), codes), **{"linewidth": 0, **look})
    target.add_patch(shape)


def class_look(outcome: str) -> dict[str, Any]:
    """Return fill and hatching of a class; hatching is light on dark colours and dark on light ones."""
    look = CLASSES[outcome]
    dark = outcome in (Outcome.STUCK, Outcome.RECOVERED, Outcome.LOST)
    return {"facecolor": look.colour, "hatch": look.hatch or None, "edgecolor": "white" if dark else INK}


def lanes(outcomes: Sequence[str]) -> list[str]:
    """Return the classes that get a lane, from the bottom: those that occur, and always old and new."""
    present = {*outcomes, Outcome.OLD.value, Outcome.NEW.value}
    return [name.value for name in Outcome if name.value in present]


def lane_label(
    target: Axes, outcome: str, y: float, tall: float, per_inch: float, figures: Sequence[str]
) -> None:
    """Draw a class's swatch, word and numbers, in columns to the left of its lane.

    :param y: the lane's middle, and `tall` the swatch's height, in the units of the axes.
    :param per_inch: units of x in an inch.
    """
    from matplotlib.patches import Rectangle

    edge = target.get_xlim()[0]
    swatch = (edge - 2.15 * per_inch, y - tall / 2)
    target.add_patch(
        Rectangle(swatch, 0.2 * per_inch, tall, linewidth=0.4, clip_on=False, **class_look(outcome))
    )
    weight = "bold" if is_violation(outcome) else "normal"
    said = CLASSES[outcome].word
    target.text(edge - 1.87 * per_inch, y, said, ha="left", va="center", weight=weight, clip_on=False)
    for column, figure in enumerate(reversed(figures)):
        x = edge - (0.1 + 0.5 * column) * per_inch
        target.text(x, y, figure, ha="right", va="center", weight=weight, clip_on=False)


def merged(places: Iterable[Box]) -> list[Box]:
    """Join touching boxes of one row: fewer shapes, and no visible seams."""
    joined: list[Box] = []
    for x, y, wide, tall in sorted(places):
        if joined:
            last_x, last_y, last_wide, last_tall = joined[-1]
            if (last_y, last_tall) == (y, tall) and x <= last_x + last_wide + 1e-9:
                joined[-1] = (last_x, y, max(last_x + last_wide, x + wide) - last_x, tall)
                continue
        joined.append((x, y, wide, tall))
    return joined
