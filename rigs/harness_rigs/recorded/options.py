"""The table `[rig.flash]` of a bench: what the state files of a firmware are."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

Kind = Literal["image", "files", "driver"]
Fault = Literal["torn", "reordered"]

LARGEST = 256 << 20
"""Bytes of the largest flash behind a driver; it is kept in memory, once for each state that differs."""
DRIVER_FILE = "flash.bin"
"""The image behind a firmware's flash driver, in its working directory."""


class FlashOptions(BaseModel):
    """How the files of a firmware break when the power fails.

    Defaults are those of an nRF52840 (PS v1.1, 4.3.6): pages of 4 KiB, words of 4 bytes, 41 us a word, 85 ms a page.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Kind
    """image: a file is a flash. files: state files on a file system. driver: the firmware links keyharness_flash.c."""
    files: list[str] = []
    """image: the paths of the flash files, relative to the working directory."""
    page_size: int = Field(default=4096, gt=0, le=1 << 20)
    word_size: int = Field(default=4, gt=0, le=4096)
    pages: int | None = Field(default=None, gt=0, le=1 << 16)
    """driver: how many pages the flash has."""
    erase_value: Literal[0, 255] = 255
    word_us: int = Field(default=41, ge=0, le=1_000_000)
    erase_us: int = Field(default=85_000, ge=0, le=60_000_000)
    endurance: int = Field(default=10_000, gt=0, le=1_000_000_000)
    block_size: int = Field(default=4096, gt=0, le=1 << 20)
    """files: what the disk writes as one."""
    faults: list[Fault] = ["torn", "reordered"]
    """torn: a write to a file breaks between two blocks, a flash operation in its cells; without it each is whole.
    reordered, files: until fsync, data may reach the disk late: after later writes, and after the rename of its file.
    reordered, image, where the bench names it: each page of one msync is written before each other one."""

    @model_validator(mode="after")
    def _fits(self) -> FlashOptions:
        if self.page_size % self.word_size:
            found = f"{self.page_size}, which is no multiple of word_size {self.word_size}"
            raise _unfit("page_size", found, "whole words", "set both to those of the chip")
        if self.kind == "driver":
            self._require_size()
        elif self.pages is not None:
            found, mend = f'{self.pages}, with kind = "{self.kind}"', "remove it: a file says its own size"
            raise _unfit("pages", found, 'no size, but for kind = "driver"', mend)
        if self.kind == "image":
            self._require_names()
        elif self.files:
            expected = 'no names: they say which files are a flash, for kind = "image"'
            raise _unfit(
                "files", f'{self.files}, with kind = "{self.kind}"', expected, "remove it, or change kind"
            )
        return self

    def _require_size(self) -> None:
        if self.pages is None:
            raise _unfit("pages", "nothing", "the size of the flash", "add pages = N, in pages of page_size")
        if (size := self.pages * self.page_size) > LARGEST:
            found = f"{self.pages} pages of {self.page_size} bytes, which are {size:,}"
            expected = f"{LARGEST:,} bytes at most"
            raise _unfit(
                "pages", found, expected, "give the size of what the firmware uses, not of the whole chip"
            )

    def _require_names(self) -> None:
        if not self.files:
            raise _unfit(
                "files", "nothing", "the names of the files that are a flash", 'add files = ["flash.bin"]'
            )
        for name in self.files:
            path = PurePosixPath(name)
            # Only the plain name is the one by which a write to the file is seen.
            if path.is_absolute() or ".." in path.parts or str(path) != name or name == "." or "\0" in name:
                expected = "the plain name of a file in the working directory, as flash.bin or data/flash.bin"
                raise _unfit("files", f'"{name}"', expected, "name it as seen from where the firmware runs")
        if twice := [name for name in self.files if self.files.count(name) > 1]:
            raise _unfit("files", f'"{twice[0]}" twice', "each file once", "remove one of them")

    @property
    def is_reordered(self) -> bool:
        """Whether writes are tried in other orders than the one that was seen.

        A chip keeps the order in which a firmware changed the pages of one msync, and nobody sees it here: to try all
        of them would blame sound firmware. So a bench has to ask for it.
        """
        return "reordered" in self.faults and (self.kind == "files" or "faults" in self.model_fields_set)

    @property
    def words(self) -> str:
        """What the model breaks, for the headline of a run: which file system, or what kind of flash."""
        torn = "torn" in self.faults
        if self.kind == "files":
            order = "reordered until fsync" if self.is_reordered else "ordered"
            return f"files on a file system: {order}, {'torn at blocks' if torn else 'no write torn'}"
        parts = ["behind its driver" if self.kind == "driver" else "in a file"]
        parts += ["pages of one msync reordered"] if self.kind == "image" and self.is_reordered else []
        return ", ".join(parts if torn else [*parts, "no write torn"])

    @property
    def images(self) -> tuple[str, ...]:
        """The files that are flash."""
        return (DRIVER_FILE,) if self.kind == "driver" else tuple(self.files)


def _unfit(field: str, found: str, expected: str, mend: str) -> PydanticCustomError:
    """Settings that do not fit each other, as `harness.bench.misfit` tells them."""
    context = {"field": field, "found": found, "expected": expected, "mend": mend}
    return PydanticCustomError("unfit", "{field}: found {found}, expected {expected}", context)
