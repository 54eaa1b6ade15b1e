"""The state of a key without power: the content of its flash chips, and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property


@dataclass(frozen=True)
class FlashImage:
    """One chip: its pages (immutable, shared between images) and how often each was erased.

    :ivar weak: (page, mask of its half-way cells), in the order of pages (see `harness.twin.metastable`).
    """

    pages: tuple[bytes, ...]
    erases: tuple[int, ...]
    weak: tuple[tuple[int, bytes], ...] = ()

    @cached_property
    def digest(self) -> bytes:
        """A 16-byte hash of the content; wear is left out."""
        whole = hashlib.blake2b(b"".join(map(_page_digest, self.pages)), digest_size=16)
        for page, mask in self.weak:
            whole.update(page.to_bytes(4, "big") + mask)
        return whole.digest()


@dataclass(frozen=True)
class BoardState:
    """All chips of a board by name, and the number of its boots (random numbers depend on it)."""

    chips: dict[str, FlashImage]
    boots: int

    def with_page(self, chip: str, page: int, content: bytes, weak: bytes = b"") -> BoardState:
        """The same state with one page, and the mask of its half-way cells, replaced."""
        image = self.chips[chip]
        pages = (*image.pages[:page], content, *image.pages[page + 1 :])
        others = [one for one in image.weak if one[0] != page]
        masks = tuple(sorted([*others, (page, weak)])) if weak else tuple(others)
        return replace(self, chips={**self.chips, chip: replace(image, pages=pages, weak=masks)})

    def digest(self) -> bytes:
        """A 16-byte hash of all contents and the number of boots; wear is left out."""
        whole = hashlib.blake2b(digest_size=16)
        for name in sorted(self.chips):
            whole.update(name.encode() + b"\0" + self.chips[name].digest)
        whole.update(self.boots.to_bytes(8, "big"))
        return whole.digest()


_PAGE_DIGESTS: dict[bytes, bytes] = {}


def _page_digest(page: bytes) -> bytes:
    """blake2b of a page, cached: most images share most of their pages."""
    known = _PAGE_DIGESTS.get(page)
    if known is None:
        if len(_PAGE_DIGESTS) > 4096:
            _PAGE_DIGESTS.clear()
        known = _PAGE_DIGESTS[page] = hashlib.blake2b(page, digest_size=16).digest()
    return known
