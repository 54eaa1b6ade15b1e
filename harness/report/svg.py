"""Shorten the text of an SVG that matplotlib has drawn: it looks the same, and has a third of its bytes.

A report has a picture for each operation, and holds each of them in its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_PREAMBLE = re.compile(r"<!DOCTYPE[^>]*>\s*|<metadata>.*?</metadata>\s*", re.DOTALL)
_NAMED = re.compile(r'<g id="[A-Za-z0-9]+_[0-9]+"(/?)>')
"""matplotlib numbers what it draws; nothing refers to these names."""
_BETWEEN = re.compile(r"\s+<(?=[/a-zA-Z])")
_GROUP = re.compile(r"<g(?: [^>]*[^/>])?>|</g>")
_PATH = re.compile(r'<path d="([^"]*)"([^>]*)/>')
_STEP = re.compile(r"([MLHVzCQ])([^MLHVzCQ]*)")
_NUMBER = re.compile(r"-?(?:\d+\.?\d*|\.\d+)(?:e-?\d+)?")
_STYLE = re.compile(r' style="([^"]*)"')
_NO_TURN = re.compile(r' transform="rotate\(-?0 [^)]*\)"')
_XLINK = re.compile(r' xmlns:xlink="[^"]*"')
_COLOUR = re.compile(r"#([0-9a-f])\1([0-9a-f])\2([0-9a-f])\3")
_FILL = re.compile(r'((?: clip-path="[^"]*")?) style="fill: (#[0-9a-f]{6})"')
_BOX = re.compile(r"M (\S+) (\S+) L (\S+) \2 L \3 (\S+) L \1 \4 z ?")
_PLACE = re.compile(r'(?<= )(x|y|transform)="([^"]*)"')


def compact(svg: str, font: str, size: float, ink: str) -> str:
    """Shorten an SVG, and drop the address of a DTD, which some programs would fetch.

    :param font: the family of most of its texts; `size` in points and `ink` are theirs, too: said once for all of them.
    """
    plain = _BETWEEN.sub("<", _NAMED.sub(r"<g\1>", _PREAMBLE.sub("", svg)))
    plain = _joined(_ungrouped(_NO_TURN.sub("", plain)))
    usual = f"font-size: {size:g}px", f"font-family: '{font}'", "text-anchor: start", f"fill: {ink}"

    def text(match: re.Match[str]) -> str:
        kept = _STYLE.sub(lambda style: _without(style[1], usual), match[0])
        return _PLACE.sub(lambda at: f'{at[1]}="{_NUMBER.sub(_rounded, at[2])}"', kept)

    plain = re.sub(r"<text[^>]*>", text, plain)
    plain = _STYLE.sub(lambda style: f' style="{_close(style[1])}"', plain)
    plain = plain.replace("</style>", f"text{{font:{size:g}px '{font}';fill:{ink}}}</style>", 1)
    return plain if "xlink:" in plain.replace("xmlns:xlink", "") else _XLINK.sub("", plain, count=1)


def _close(style: str) -> str:
    """Return a style without spaces, and with its colours in three digits where they are enough."""
    return _COLOUR.sub(r"#\1\2\3", style.replace(": ", ":").replace("; ", ";"))


def _without(style: str, usual: tuple[str, ...]) -> str:
    kept = "; ".join(part for part in style.split("; ") if part not in usual)
    return f' style="{kept}"' if kept else ""


def _rounded(number: re.Match[str]) -> str:
    return _said(_hundredths(number[0]))


def _ungrouped(svg: str) -> str:
    """Drop the groups that say nothing of what is in them."""
    opened: list[str] = []

    def kept(tag: re.Match[str]) -> str:
        if tag[0] != "</g>":
            opened.append(tag[0])
            return "" if tag[0] == "<g>" else tag[0]
        return "" if opened.pop() == "<g>" else tag[0]

    return _GROUP.sub(kept, svg.replace("<g/>", ""))


def _joined(svg: str) -> str:
    """Write paths by steps, and paths of lines that follow one another and look the same as one."""
    out: list[str] = []
    end, last_look, pen = 0, "", Pen()
    for match in _PATH.finditer(svg):
        path, look = " ".join(match[1].split()), match[2]
        # What is filled may lie over another: only single lines look the same in one path.
        line = "fill: none" in look and "z" not in path
        if not (line and match.start() == end and look == last_look):
            out += [pen.element(last_look), svg[end : match.start()]]
            pen = Pen()
        if bars := _bars(path, look):
            out.append(bars)
        else:
            pen.draw(path)
        end, last_look = match.end(), look
    return "".join([*out, pen.element(last_look), svg[end:]])


def _bars(path: str, look: str) -> str:
    """Return boxes of one colour as lines that are as thick as the boxes are tall, which take half of the bytes.

    Empty if the path is something else, or the boxes are few.
    """
    fill, boxes = _FILL.fullmatch(look), _BOX.findall(path)
    if fill is None or len(boxes) < 2 or _BOX.sub("", path):
        return ""
    pens: dict[int, Pen] = {}
    for box in boxes:
        x, y, right, top = map(_hundredths, box)
        pens.setdefault(abs(top - y), Pen()).line(x, (y + top) // 2, right)
    looks = (f'{fill[1]} style="fill: none; stroke: {fill[2]}; stroke-width: {_said(tall)}"' for tall in pens)
    return "".join(pen.element(look) for pen, look in zip(pens.values(), looks, strict=True))


class Pen:
    """Writes a path in steps from where the pen is, in hundredths of a point: less than any screen shows."""

    def __init__(self) -> None:
        self._said: list[str] = []
        self._at = self._start = (0, 0)

    def draw(self, path: str) -> None:
        """Add the path of an SVG, whose places are absolute."""
        for letter, places in _STEP.findall(path):
            numbers = [_hundredths(number) for number in _NUMBER.findall(places)]
            self._step(letter, list(zip(numbers[::2], numbers[1::2], strict=True)))

    def line(self, x: int, y: int, right: int) -> None:
        """Add a level line."""
        self._step("M", [(x, y)])
        self._step("L", [(right, y)])

    def element(self, look: str) -> str:
        """Return the path as an element with these attributes; empty if nothing was drawn."""
        return f'<path d="{"".join(self._said)}"{look}/>' if self._said else ""

    def _step(self, letter: str, places: list[tuple[int, int]]) -> None:
        if letter == "z":
            if self._said[-1][0] in "hv":
                # The line back to the start is drawn by the end of the path.
                self._drop_last_side()
            self._said.append("z")
            self._at = self._start
            return
        moves = [(x - self._at[0], y - self._at[1]) for x, y in places]
        self._at = places[-1]
        if letter == "M":
            self._start = self._at
            self._said.append(f"m{_listed(moves[0])}" if self._said else f"M{_listed(places[0])}")
        elif letter == "L":
            ((x, y),) = moves
            said = f"h{_said(x)}" if y == 0 else f"v{_said(y)}" if x == 0 else f"l{_listed((x, y))}"
            self._said.append(said)
        else:
            self._said.append(letter.lower() + _listed([one for move in moves for one in move]))

    def _drop_last_side(self) -> None:
        if self._at == self._start:
            self._said.pop()


def _hundredths(number: str) -> int:
    return round(float(number) * 100)


def _said(hundredths: int) -> str:
    """Return 1234 as 12.34, 50 as .5 and -200 as -2."""
    whole, part = divmod(abs(hundredths), 100)
    fraction = f".{part:02}".rstrip("0") if part else ""
    return f"{'-' if hundredths < 0 else ''}{whole or '' if fraction else whole}{fraction}"


def _listed(numbers: Iterable[int]) -> str:
    """Return numbers with a space between two of them, where a minus does not part them."""
    return " ".join(map(_said, numbers)).replace(" -", "-")
