"""How the firmware of a Nitrokey 3A Mini is updated, as the downgrade suite asks it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from nitrokey.trussed.updates import Warning

from harness.api import (
    ANY,
    BoardState,
    FirmwareUpdates,
    Memory,
    Progress,
    Rig,
    Transports,
    UpdateContainer,
    Value,
)
from harness_nitrokey3 import bootloader_probe, containers, images, signing, update_rules
from harness_nitrokey3.containers import Container
from harness_nitrokey3.device_test import device_test
from harness_nitrokey3.images import Recipe, core
from harness_nitrokey3.killed_updater import Breaking
from harness_nitrokey3.twin.dfu_image import number_of, text_of
from harness_nitrokey3.update_items import DELETED
from harness_nitrokey3.updater import update

PAGE = 4096


class Nitrokey3Updates(FirmwareUpdates):
    """The vendor's updater, test containers signed with the twin's key, and the bootloader's answers."""

    pairs = update_rules.PAIRS
    damages = update_rules.DAMAGES
    moves = ("1.2.2-to-1.8.3", "1.7.2-to-1.8.3", "1.8.3-to-1.9.0", "1.0.0-to-1.8.3")
    installed, target, intact_target = "1.8.3", "1.9.0", update_rules.WANTED
    refused_as_older = "refused: Extended Error 0x05"
    client_too_old = Warning.SDK_VERSION.value
    version_unknown = Warning.UPDATE_FROM_BOOTLOADER.value
    client_of_any_age, client_of_the_future = "v0.1.0", "v99.0.0"

    def container(self, rig: Rig, version: str, *, client: str = "") -> Container:
        image = images.make(Recipe(version), signing.seed_of(rig))
        return containers.pack(image, f"v{version}", sdk=client)

    def earlier(self, version: str) -> str:
        return bootloader_probe.older(core(version))

    def later(self, version: str) -> str:
        return text_of(number_of(version) + 1)

    def is_consistent(self, version: str) -> bool:
        return core(version) == text_of(number_of(version) & 0xFFFFFFFF)

    def update(
        self,
        rig: Rig,
        container: bytes,
        *,
        uuid: int | None = None,
        stop_at: Collection[str] | None = (),
        progress: Progress | None = None,
        before_bootloader: Callable[[], None] | None = None,
    ) -> list[tuple[str, str]]:
        stops = frozenset(warning for warning in Warning if stop_at is None or warning.value in stop_at)
        return update(
            rig,
            container,
            uuid=uuid,
            ignore=frozenset(Warning) - stops,
            progress=progress,
            before_bootloader=before_bootloader,
        ).said

    def enter_bootloader(self, rig: Rig) -> None:
        bootloader_probe.enter_bootloader(rig)

    def offer(self, rig: Rig, container: UpdateContainer, *, whole: bool = False) -> str:
        assert isinstance(container, Container)
        return bootloader_probe.offer(rig, container.image, whole=whole)

    def killed_updater(self, transports: Transports, write: int, share: float) -> Transports:
        return Breaking(transports, write, share)

    def after_update(self, uuid: int | None, *, deleted: bool) -> Mapping[str, Value]:
        values: dict[str, Value] = {
            "admin.version": ANY,
            "admin.status": "ok",
            "admin.status_after_replug": "ok",
        }
        if uuid is None:
            values["admin.uuid"] = ANY
        return {**values, **DELETED} if deleted else values

    def debug_container(self, rig: Rig, version: str) -> Container:
        return containers.make(signing.seed_of(rig), Recipe(version, debug=True))

    def device_test(self, rig: Rig, version: str, memory: Memory) -> list[str]:
        if not self.is_consistent(version):
            return []
        return device_test(rig, version, memory)

    def without_application(self, state: BoardState) -> BoardState:
        return state.with_page("app", 0, b"\xff" * PAGE)
