"""What an owner does with GnuPG, OpenSSH and two cards, before and after the loss of the first one."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path

from harness_openpgp.gnupg import Gnupg, serials
from harness_suites.loss.second import Card

WHO, MADE = "owner@example.org", "card.owner@example.org"
TEXT, LATER = b"written before the loss", b"written after the loss"


@dataclass
class Use:
    """What went well of one way to use the keys."""

    signs: bool
    decrypts: bool
    logs_in: bool
    opens_old: bool = False


@dataclass
class Story:
    """What was found, in the order in which it happened.

    :ivar left_on_host: is each key still on the host after keytocard without `save`?
    :ivar left_on_card: and on the card?
    :ivar stubs: after `save`: serial number of the card that each stub names. :ivar card_a: its serial number.
    :ivar with_a: with card A. :ivar refused: card B has the same keys, and is not used for the stubs of card A.
    :ivar asked_for: what the owner is asked to insert then.
    :ivar with_b: with card B after its stubs were learned. :ivar restored: the backup, in an empty keyring, no card.
    :ivar stub_export: an export after `save`, in an empty keyring, no card.
    :ivar stub_size: its length, and that of the backup.
    :ivar generated_files: how many files the backup of an on-card generation is.
    :ivar importable: can a keyring import it? :ivar generated: with the same on card B.
    """

    left_on_host: list[bool] = field(default_factory=list)
    left_on_card: list[bool] = field(default_factory=list)
    stubs: list[str] = field(default_factory=list)
    card_a: str = ""
    with_a: Use | None = None
    refused: bool = False
    asked_for: str = ""
    with_b: Use | None = None
    restored: Use | None = None
    stub_export: Use | None = None
    stub_size: tuple[int, int] = (0, 0)
    importable: bool = True
    generated: Use | None = None
    generated_files: int = 0


@dataclass
class Teller:
    """The owner's places. :ivar folder: short, because sockets are made in it."""

    folder: Path
    first: Card
    second: Card
    readers: dict[str, str]

    def keyring(self, name: str, card: Card) -> Gnupg:
        made = Gnupg(self.folder / name, {}, self.readers[card.rig.name])
        made.set_pins(card.pw1, card.pw3)
        return made

    def insert(self, owner: Gnupg, card: Card) -> None:
        """Put a card in, and take the other one out."""
        for one in (self.first, self.second):
            one.rig.power.off()
        card.rig.power.on()
        card.rig.wait_until_up()
        owner.set_pins(card.pw1, card.pw3)
        owner.use_reader(self.readers[card.rig.name])

    def take_out(self) -> None:
        for one in (self.first, self.second):
            one.rig.power.off()

    def tell(self) -> Story:
        story = Story()
        owner = self.keyring("o", self.first)
        try:
            self._move(story, owner)
            self._lose(story, owner)
            self._generate(story)
        finally:
            owner.close()
        return story

    def _move(self, story: Story, owner: Gnupg) -> None:
        owner.make_keys(WHO)
        (self.folder / "backup").write_text(owner.export(WHO))
        self.insert(owner, self.first)
        owner.move_to_card(WHO, save=False)
        story.left_on_host = owner.on_host(WHO)
        shown = owner("--card-status").replace(" ", "")
        story.left_on_card = [one in shown for one in owner.fingerprints(WHO)]
        owner.move_to_card(WHO)
        owner.learn()
        story.stubs, (story.card_a, *_) = serials(owner.secrets(WHO)), serials(owner.secrets(WHO))
        (self.folder / "stubs").write_text(owner.export(WHO))
        owner.encrypt(WHO, TEXT).rename(self.folder / "old")
        story.with_a = self._use(owner, WHO)

    def _lose(self, story: Story, owner: Gnupg) -> None:
        """Card A is gone. The keyring holds its stubs, and a backup is in a drawer."""
        # scdaemon takes a card for itself alone, so one keyring is used at a time.
        owner.close()
        again = self.keyring("b", self.second)
        try:
            self.insert(again, self.second)
            again.restore((self.folder / "backup").read_text())
            again.move_to_card(WHO)
        finally:
            again.close()
        # The same keyring as before, which holds the stubs of card A.
        self.insert(owner, self.second)
        story.refused = owner.decrypted(self.folder / "old") is None
        story.asked_for = owner.asked_for
        owner.learn()
        story.with_b = self._use(owner, WHO)
        owner.close()
        self.take_out()
        story.restored = self._restored("r", "backup")
        story.stub_export = self._restored("s", "stubs")
        story.stub_size = (
            len((self.folder / "stubs").read_text()),
            len((self.folder / "backup").read_text()),
        )

    def _generate(self, story: Story) -> None:
        """Keys made on card A, with the backup that gpg offers; then that card is gone, too."""
        owner = self.keyring("g", self.first)
        try:
            self.insert(owner, self.first)
            owner.generate_on_card("Card Owner", backup=True)
            owner.encrypt(MADE, TEXT).rename(self.folder / "old")
            logins = owner.ssh_keys()
            backups = list(owner.home.glob("sk_*.gpg"))
            story.generated_files = len(backups)
            story.importable = any(owner.imports(one) for one in backups)
            self.insert(owner, self.second)
            for one in backups:
                owner.backup_to_card(MADE, one)
            story.generated = self._use(owner, MADE, logins)
        finally:
            owner.close()

    def _restored(self, name: str, backup: str) -> Use:
        """What an empty keyring can do with a backup, and no card."""
        fresh = self.keyring(name, self.first)
        try:
            fresh.restore((self.folder / backup).read_text())
            grips = fresh.keygrips(WHO)
            fresh.offer_to_ssh(grips[2])
            return self._use(fresh, WHO, [fresh.ssh_public(WHO)])
        finally:
            fresh.close()

    def _use(self, owner: Gnupg, who: str, logins: list[str] | None = None) -> Use:
        offered = owner.ssh_keys() if logins is None else logins
        return Use(
            signs=owner.signs(who, LATER),
            decrypts=owner.decrypted(owner.encrypt(who, LATER)) == LATER,
            logs_in=bool(offered) and all(owner.logs_in(one) for one in offered),
            opens_old=owner.decrypted(self.folder / "old") == TEXT,
        )


def told(folder: Path, first: Card, second: Card, readers: dict[str, str]) -> Story:
    """Tell the story in a new folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return Teller(folder, first, second, readers).tell()
