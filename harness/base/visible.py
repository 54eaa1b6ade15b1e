"""Text from outside that is safe to print: a key, a file or a caller may hold what a terminal obeys."""

from __future__ import annotations

LONGEST = 1000
"""Characters of one value in a message."""


def visible(text: str, *, keep: str = "") -> str:
    """Return text with each character that does not print as its escape: "\\x1b", "\\u2028", "\\udcff".

    That covers what a terminal obeys (ESC, CR, BEL), what turns the direction of writing, what ends a line for some
    readers, and bytes of a file's name that are no UTF-8.

    :param keep: characters that stay as they are, such as a newline.
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() or one in keep else _escape(one) for one in text)


def encodable(text: str) -> str:
    """Return text that can be written as UTF-8: what a file's name has instead of a letter becomes "\\udcff"."""
    return text.encode("utf-8", "backslashreplace").decode()


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return text of bounded length: of a longer one both ends, and how many characters are left out between them."""
    if len(text) <= longest:
        return text
    end = longest // 4
    return f"{text[: longest - end]} ... {len(text) - longest} characters left out ... {text[-end:]}"


def first_line(text: str) -> str:
    """Return the first line of a text, which may be empty."""
    return text.partition("\n")[0]


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
