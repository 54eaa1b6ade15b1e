"""The state of a key without power: what is in its flash chips, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property


@dataclass(frozen=True)
class FlashImage:
    """One chip: its pages (immutable, shared between images) and how often each was erased.

    :ivar weak: (page, which of its cells are neither 0 nor 1), in order (see `harness.twin.metastable`).
    """

    pages: tuple[bytes, ...]
    erases: tuple[int, ...]
    weak: tuple[tuple[int, bytes], ...] = ()

    @cached_property
    def digest(self) -> bytes:
        """16 bytes that stand for the contents; wear does not count."""
        whole = hashlib.blake2b(b"".join(map(_page_digest, self.pages)), digest_size=16)
        for page, mask in self.weak:
            whole.update(page.to_bytes(4, "big") + mask)
        return whole.digest()


@dataclass(frozen=True)
class BoardState:
    """All chips of a board by name, and how often it has booted (random numbers depend on it)."""

    chips: dict[str, FlashImage]
    boots: int

    def with_page(self, chip: str, page: int, content: bytes, weak: bytes = b"") -> BoardState:
        """The same state with one page replaced, and with the mask of its cells that are neither 0 nor 1."""
        image = self.chips[chip]
        pages = (*image.pages[:page], content, *image.pages[page + 1 :])
        others = [one for one in image.weak if one[0] != page]
        masks = tuple(sorted([*others, (page, weak)])) if weak else tuple(others)
        return replace(self, chips={**self.chips, chip: replace(image, pages=pages, weak=masks)})

    def digest(self) -> bytes:
        """16 bytes that are equal when the contents and the number of boots are; wear does not count."""
        whole = hashlib.blake2b(digest_size=16)
        for name in sorted(self.chips):
            whole.update(name.encode() + b"\0" + self.chips[name].digest)
        whole.update(self.boots.to_bytes(8, "big"))
        return whole.digest()


_PAGE_DIGESTS: dict[bytes, bytes] = {}


def _page_digest(page: bytes) -> bytes:
    """blake2b of a page, remembered: most pages of most images are the same objects."""
    known = _PAGE_DIGESTS.get(page)
    if known is None:
        if len(_PAGE_DIGESTS) > 4096:
            _PAGE_DIGESTS.clear()
        known = _PAGE_DIGESTS[page] = hashlib.blake2b(page, digest_size=16).digest()
    return known
