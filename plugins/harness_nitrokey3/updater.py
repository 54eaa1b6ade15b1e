"""Run the vendor's updater on the key on a rig, from end to end and across both faces of the key.

The updater imports an HTTP client, so modules that every start imports do not import this one. Errors that the
updater hides or wraps do not matter to a campaign: the tap on the transport records every chunk and response.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from nitrokey.nk3 import NK3
from nitrokey.nk3._bootloader import NK3BootloaderNrf52
from nitrokey.trussed import TrussedBase
from nitrokey.trussed._base import Model
from nitrokey.trussed.updates import DeviceHandler, Updater, UpdateUi, Warning

from harness.api import KeyFault, KeyGone, Progress, Rig, RigError, SlowBoot, UpdateRefused
from harness_nitrokey3 import containers, sdk, signing
from harness_nitrokey3.dfu_port import dfu_port
from harness_nitrokey3.sdk import open_nk3

POLL_US = 500_000
"""Duration of one try while the SDK waits."""


class _HostRefuses(Exception):
    """Raised through the updater where it would ask its user."""


class _Failed(Exception):
    """The updater reports an error of the device or of the container."""


class Ui(UpdateUi):
    """Answer the updater's questions without a person, and keep its messages.

    :param allow_same: go on if this version is running already.
    :ivar said: what happened, in order, as (kind, text).
    """

    def __init__(
        self,
        rig: Rig,
        allow_same: bool = True,
        progress: Progress | None = None,
        before_bootloader: Callable[[], None] | None = None,
    ):
        self._rig, self._allow_same = rig, allow_same
        self._before_bootloader = before_bootloader
        self._progress = progress or (lambda phase, done, total: None)
        self._touch = ExitStack()
        self.said: list[tuple[str, str]] = []

    def _say(self, kind: str, *texts: object) -> str:
        text = ": ".join(str(one) for one in texts)
        self.said.append((kind, text))
        return text

    def close(self) -> None:
        self._touch.close()

    def error(self, *msgs: Any) -> Exception:
        return _Failed(self._say("error", *msgs))

    def abort(self, *msgs: Any) -> Exception:
        return _HostRefuses(self._say("abort", *msgs))

    def show_warning(self, warning: Warning) -> None:
        self._say("warning", warning.value)

    def raise_warning(self, warning: Warning) -> Exception:
        return _HostRefuses(self._say("warning", warning.value))

    def abort_downgrade(self, current: Any, image: Any) -> Exception:
        return _HostRefuses(self._say("downgrade", f"{image} is lower than {current}"))

    def abort_pynitrokey_version(self, current: Any, required: Any) -> Exception:
        return _HostRefuses(self._say("client too old", f"{current} is lower than {required}"))

    def confirm_download(self, current: Any, new: Any) -> None:
        self._say("download", new)

    def confirm_update(self, current: Any, new: Any) -> None:
        self._say("update", f"{current} to {new}")

    def confirm_pynitrokey_version(self, current: Any, required: Any) -> None:
        self._say("client", f"{current}, {required} wanted")

    def confirm_extra_information(self, extra_info: list[str]) -> None:
        self._say("information", " ".join(line for line in extra_info if line))

    def confirm_update_same_version(self, version: Any) -> None:
        self._say("same version", version)
        if not self._allow_same:
            raise _HostRefuses(f"{version} is running already")

    def request_bootloader_confirmation(self) -> None:
        self._say("touch", "to enter the bootloader")
        self._touch.enter_context(self._rig.touch.pressing())

    def pre_bootloader_hint(self) -> None:
        self._touch.close()
        if self._before_bootloader is not None:
            self._before_bootloader()

    @contextmanager
    def _bar(self, phase: str) -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: self._progress(phase, done, total)

    def download_progress_bar(self, desc: str) -> Any:
        return self._bar("download")

    def update_progress_bar(self) -> Any:
        return self._bar("transfer")

    def finalization_progress_bar(self) -> Any:
        return self._bar("finalization")


class Handler(DeviceHandler):
    """Find the key again after it changed faces: on the rig's port, and only the same key.

    :ivar polls: number of the SDK's tries that the finalisation took.
    """

    def __init__(self, rig: Rig, uuid: int | None):
        self._rig, self._uuid = rig, uuid
        self.polls = 0

    def _same(self, uuid: int | None) -> None:
        if self._uuid is not None and uuid is not None and uuid != self._uuid:
            raise RigError(
                f'rig "{self._rig.name}": another key is in the port',
                found=f"{uuid:032x}",
                expected=f"{self._uuid:032x}",
                mend="leave the key where it is until the update is over",
            )

    def await_bootloader(self, model: Model) -> NK3BootloaderNrf52:
        self._rig.wait_until_up()
        port = dfu_port(self._rig)
        uuid = int(port.serial_number, 16)
        port.close()
        self._same(uuid)
        return NK3BootloaderNrf52(port.port, uuid)

    def await_device(
        self, model: Model, wait_retries: int | None, callback: Callable[[int, int], None] | None
    ) -> NK3:
        began_us = self._rig.clock.now_us
        retries = wait_retries or 1
        for attempt in range(1, retries + 1):
            self._rig.clock.wait_us(POLL_US)
            if callback:
                callback(attempt, retries)
            self._rig.wait_until_up()
            if self._rig.face == "application":
                break
        else:
            raise KeyFault("the key did not come back from its bootloader", found=self._rig.face)
        self.polls = math.ceil((self._rig.clock.now_us - began_us) / POLL_US)
        if self.polls > retries:
            raise SlowBoot("the first boot took too long", found=self.polls, expected=f"{retries} tries")
        device = open_nk3(self._rig)
        uuid = device.uuid()
        self._same(None if uuid is None else uuid.value)
        return device


def update(
    rig: Rig,
    container: bytes,
    *,
    uuid: int | None = None,
    allow_same: bool = True,
    ignore: frozenset[Warning] = frozenset(Warning),
    progress: Progress | None = None,
    before_bootloader: Callable[[], None] | None = None,
) -> Ui:
    """Install a container on the key on a rig, which may show either face. Returns the updater's messages.

    :param uuid: UUID that the key must have, for a key that is in its bootloader already.
    :param ignore: warnings of the SDK that do not stop the update.
    :param before_bootloader: called when the updater expects the key to enter its bootloader.
    :raises UpdateRefused: the host's checks or the key's bootloader refused it.
    :raises KeyGone: the key went away.
    """
    ui = Ui(rig, allow_same, progress, before_bootloader)
    rig.wait_until_up()
    with sdk.bound(rig, [containers.test_key(signing.seed_of(rig))]):
        try:
            device: TrussedBase
            if rig.face == "application":
                device = open_nk3(rig)
                known = device.uuid()
                uuid = uuid if known is None else known.value
            else:
                device = Handler(rig, uuid).await_bootloader(Model.NK3)
            handler = Handler(rig, uuid)
            Updater(ui, handler, ignore).update(device, image=io.BytesIO(container))  # type: ignore[arg-type]
        except _HostRefuses as refusal:
            raise UpdateRefused(str(refusal), "host") from None
        except _Failed as failure:
            rig.wait_until_up()
            raise UpdateRefused(str(failure), "key" if _reached_key(failure) else "host") from failure
        except OSError as error:
            raise KeyGone(f'rig "{rig.name}": {error}') from error
        finally:
            ui.close()
    return ui


def _reached_key(failure: BaseException) -> bool:
    """Tell whether an error happened in the transfer. All others come from checks of the host."""
    return str(failure).startswith("Failed to perform firmware update")
