"""The table `[rig.flash]` of a bench: what the state files of a firmware are."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Kind = Literal["image", "files", "driver"]
Fault = Literal["torn", "reordered"]

DRIVER_FILE = "flash.bin"
"""The image behind a firmware's flash driver, in its working directory."""


class FlashOptions(BaseModel):
    """How the files of a firmware break when the power fails.

    Defaults are those of an nRF52840 (PS v1.1, 4.3.6): pages of 4 KiB, words of 4 bytes, 41 us a word, 85 ms a page.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    """image: a file is a flash. files: state files on a file system. driver: the firmware links keyharness_flash.c."""
    files: list[str] = []
    """image: the paths of the flash files, relative to the working directory."""
    page_size: int = Field(default=4096, gt=0, le=1 << 20)
    word_size: int = Field(default=4, gt=0, le=4096)
    pages: int | None = Field(default=None, gt=0, le=1 << 16)
    """driver: how many pages the flash has."""
    erase_value: Literal[0, 255] = 255
    word_us: int = Field(default=41, ge=0)
    erase_us: int = Field(default=85_000, ge=0)
    endurance: int = Field(default=10_000, gt=0)
    block_size: int = Field(default=4096, gt=0, le=1 << 20)
    """files: what the disk writes as one."""
    faults: list[Fault] = ["torn", "reordered"]
    """files: torn: a write breaks between two blocks. reordered: until fsync, data may reach the disk late: after later
    writes, and after the rename of its file. image: reordered: the pages of one msync are written in any order."""

    @model_validator(mode="after")
    def _fits(self) -> FlashOptions:
        if self.page_size % self.word_size:
            raise ValueError(f"page_size {self.page_size} is no multiple of word_size {self.word_size}")
        if self.kind == "image" and not self.files:
            raise ValueError('kind = "image" needs files = ["..."]: which files are flash')
        if self.kind != "image" and self.files:
            raise ValueError(f'files says which files are flash: kind = "{self.kind}" has none')
        if self.kind == "driver" and self.pages is None:
            raise ValueError('kind = "driver" needs pages = N: how large the flash is')
        if self.kind != "driver" and self.pages is not None:
            raise ValueError("pages is the size of the driver's flash; the size of a file says its own")
        for name in self.files:
            if name.startswith("/") or ".." in name.split("/"):
                raise ValueError(f"files: {name} is not inside the working directory")
        return self

    @property
    def images(self) -> tuple[str, ...]:
        """The files that are flash."""
        return (DRIVER_FILE,) if self.kind == "driver" else tuple(self.files)
