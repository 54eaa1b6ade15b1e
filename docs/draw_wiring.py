"""Draw the wiring pictures of docs/rigs.md: `python docs/draw_wiring.py` writes docs/pictures/wiring-*.svg.

Standard library only. Colours are those of Okabe and Ito, which stay apart for colour-blind readers; every line
is labelled besides.
"""

from __future__ import annotations

import sys
from html import escape
from pathlib import Path

INK, PAPER, SHADE = "#222222", "#ffffff", "#f2f2ee"
VBUS, DATA, GROUND, COMMAND = "#D55E00", "#0072B2", "#222222", "#009E73"
FONT = "font-family='DejaVu Sans, Verdana, sans-serif'"


class Drawing:
    """A picture of boxes and wires, in pixels."""

    def __init__(self, width: int, height: int, title: str):
        self._width, self._height, self._title = width, height, title
        self._parts: list[str] = []

    def box(self, x: int, y: int, width: int, height: int, *lines: str, fill: str = SHADE) -> None:
        """A part, with its name on the first line."""
        self._parts.append(
            f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='5' fill='{fill}' stroke='{INK}'/>"
        )
        for at, line in enumerate(lines):
            weight = "bold" if at == 0 else "normal"
            self.text(x + width // 2, y + 20 + 17 * at, line, weight=weight)

    def text(
        self,
        x: int,
        y: int,
        words: str,
        *,
        colour: str = INK,
        anchor: str = "middle",
        weight: str = "normal",
        size: int = 13,
    ) -> None:
        self._parts.append(
            f"<text x='{x}' y='{y}' fill='{colour}' text-anchor='{anchor}' font-size='{size}' "
            f"font-weight='{weight}' {FONT}>{escape(words)}</text>"
        )

    def wire(self, colour: str, *points: tuple[int, int], dashed: bool = False) -> None:
        path = " ".join(f"{x},{y}" for x, y in points)
        dash = " stroke-dasharray='6 4'" if dashed else ""
        self._parts.append(
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.5'{dash}/>"
        )

    def dot(self, x: int, y: int, colour: str = INK) -> None:
        self._parts.append(f"<circle cx='{x}' cy='{y}' r='4' fill='{colour}'/>")

    def contact(self, x: int, y: int, colour: str, *, width: int = 44) -> None:
        """An open contact in a wire from x to x + width."""
        self.dot(x, y, colour)
        self.dot(x + width, y, colour)
        self.wire(colour, (x, y), (x + width - 8, y - 18))

    def resistor(self, x: int, top: int, bottom: int, middle: int, label: str) -> None:
        """Upright, between two wires, with its body at a height."""
        self.wire(INK, (x, top), (x, middle - 17))
        self.wire(INK, (x, middle + 17), (x, bottom))
        self._parts.append(
            f"<rect x='{x - 7}' y='{middle - 17}' width='14' height='34' fill='{PAPER}' stroke='{INK}' "
            "stroke-width='2'/>"
        )
        self.dot(x, top)
        self.dot(x, bottom)
        self.text(x + 14, middle + 5, label, anchor="start")

    def svg(self) -> str:
        head = (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {self._width} {self._height}' "
            f"width='{self._width}' height='{self._height}' role='img'>"
        )
        title = f"<title>{escape(self._title)}</title>"
        paper = f"<rect width='{self._width}' height='{self._height}' fill='{PAPER}'/>"
        return "\n".join([head, title, paper, *self._parts, "</svg>"]) + "\n"


def hub() -> Drawing:
    """A hub whose ports can be switched, one by one."""
    drawing = Drawing(760, 300, "A key on a port of a hub that switches each port by itself")
    drawing.box(20, 90, 130, 110, "Host", "runs keyharness")
    drawing.box(250, 40, 200, 220, "Hub", "two hubs in one:", "the USB 2 half and", "the USB 3 half")
    drawing.wire(DATA, (150, 145), (250, 145))
    drawing.text(200, 135, "USB", colour=DATA)
    for at, name in enumerate(("port 1", "port 2", "port 3")):
        y = 130 + 45 * at
        drawing.text(405, y + 5, name)
        drawing.dot(450, y, VBUS)
    drawing.box(590, 100, 150, 60, "Key", "alone on its port", fill="#fff6e5")
    drawing.wire(VBUS, (450, 122), (590, 122))
    drawing.wire(DATA, (450, 136), (590, 136))
    drawing.text(520, 113, "VBUS, switched", colour=VBUS)
    drawing.text(520, 154, "data", colour=DATA)
    drawing.wire(INK, (450, 175), (500, 175), dashed=True)
    drawing.text(507, 180, "others stay on: calibrate looks", anchor="start", size=12)
    drawing.text(380, 285, "Both halves of the port are switched off, then both on.", size=12)
    return drawing


def relay() -> Drawing:
    """A relay in VBUS, and why the data lines and a bleed resistor matter."""
    drawing = Drawing(
        860, 430, "A relay that cuts VBUS and both data lines, with a bleed resistor at the key"
    )
    drawing.box(20, 70, 120, 230, "Host", "port A")
    drawing.box(690, 70, 150, 230, "Key", fill="#fff6e5")
    drawing.box(220, 40, 250, 175, fill="#ffffff")
    drawing.text(345, 60, "Relay, contacts NO (normally open)", weight="bold", size=12)
    for y, name, colour in ((100, "VBUS", VBUS), (145, "D+", DATA), (190, "D-", DATA)):
        drawing.wire(colour, (140, y), (320, y))
        drawing.contact(320, y, colour)
        drawing.wire(colour, (364, y), (690, y))
        drawing.text(180, y - 7, name, colour=colour)
    drawing.wire(GROUND, (140, 270), (690, 270))
    drawing.text(180, 263, "GND, never cut", colour=GROUND, anchor="start")
    drawing.resistor(530, 100, 270, 230, "bleed: 100 Ω, 0.5 W")
    drawing.box(220, 325, 250, 70, "Relay board", "coil energised = the key has power")
    drawing.wire(COMMAND, (140, 360), (220, 360))
    drawing.wire(COMMAND, (80, 300), (80, 360), (140, 360))
    drawing.text(90, 380, "port B: commands", colour=COMMAND, anchor="start", size=12)
    drawing.wire(COMMAND, (345, 325), (345, 215), dashed=True)
    drawing.text(500, 345, "A cut is a release: 5 ms at most, less bounce;", anchor="start", size=12)
    drawing.text(500, 363, "a board that loses its own power cuts, too.", anchor="start", size=12)
    return drawing


def touch() -> Drawing:
    """One board with several channels: power and touch of two rigs."""
    drawing = Drawing(820, 360, "One board that switches and touches two keys")
    drawing.box(20, 120, 120, 110, "Host", "keyharness")
    drawing.box(230, 40, 170, 280, "Relay board", "4 channels")
    drawing.wire(COMMAND, (140, 175), (230, 175))
    drawing.text(185, 166, "commands", colour=COMMAND, size=12)
    rows = ((1, "power", VBUS), (2, "touch", COMMAND), (3, "power", VBUS), (4, "touch", COMMAND))
    for at, (number, what, colour) in enumerate(rows):
        y = 115 + 58 * at
        drawing.text(345, y + 5, f"channel {number}")
        drawing.wire(colour, (400, y), (600, y))
        drawing.text(500, y - 8, what, colour=colour)
    for at, name in enumerate(("mini-1", "mini-2")):
        y = 95 + 116 * at
        drawing.box(600, y, 200, 98, f"rig {name}", fill="#fff6e5")
        drawing.text(700, y + 50, "VBUS contact", size=12, colour=VBUS)
        drawing.text(700, y + 80, "pad or button, across its contact", size=11, colour=COMMAND)
    drawing.text(
        410, 345, "Each channel belongs to one rig; a bench that gives it to two is refused.", size=12
    )
    return drawing


PICTURES = {"wiring-hub": hub, "wiring-relay": relay, "wiring-touch": touch}


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        (folder / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "pictures")
