"""Update a Nitrokey 3 on USB with the vendor's SDK, as nitropy does; runs in the guest.

    module support.guest.update_client CONTAINER TEST_KEY UUID [SWITCH]

SWITCH is the file `disable` of the key's port in sysfs: it gets a 1 in mid-transfer, and the key loses its power. The
key may stand in its bootloader already: then the update is completed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from nitrokey.nk3 import _NK3_DATA, NK3
from nitrokey.nk3._bootloader import NK3BootloaderNrf52
from nitrokey.trussed._base import Model
from nitrokey.trussed._bootloader.nrf52 import SignatureKey
from nitrokey.trussed.updates import DeviceHandler, Updater, UpdateUi, Warning

from harness.host.host import here
from harness.host.uevents import wait_until

LIMIT_S = 1200


class OnUsb(DeviceHandler):
    """Finds the key by its UUID after it has changed faces, in the SDK's own lists."""

    def __init__(self, uuid: int):
        self._uuid = uuid

    def await_bootloader(self, model: Model) -> NK3BootloaderNrf52:
        return self._awaited(NK3BootloaderNrf52.list)

    def await_device(
        self, model: Model, wait_retries: int | None, callback: Callable[[int, int], None] | None
    ) -> NK3:
        return self._awaited(NK3.list)

    def _awaited(self, listed: Callable[[], Sequence[Any]]) -> Any:
        def look() -> Any:
            # A node that has only just come may not be openable yet: the next event brings another look.
            with suppress(OSError):
                return next((one for one in listed() if int(one.uuid() or 0) == self._uuid), None)

        found = wait_until(here(), look, LIMIT_S)
        if found is None:
            raise SystemExit("the key does not come back")
        return found

    def there(self) -> NK3 | NK3BootloaderNrf52:
        """The key, in whatever face it stands."""
        return self._awaited(lambda: [*NK3.list(), *NK3BootloaderNrf52.list()])


class Answers(UpdateUi):
    """Says yes to the SDK's questions, and takes the power away in mid-transfer if it is told to."""

    def __init__(self, switch: Path | None):
        self._switch = switch

    def _say(self, *texts: object) -> None:
        print(*texts, flush=True)

    def _fail(self, *texts: object) -> NoReturn:
        raise SystemExit(" ".join(map(str, texts)))

    error = abort = raise_warning = abort_downgrade = abort_pynitrokey_version = _fail
    show_warning = confirm_download = confirm_update = confirm_pynitrokey_version = _say
    confirm_extra_information = confirm_update_same_version = _say
    request_bootloader_confirmation = pre_bootloader_hint = _say

    @contextmanager
    def _bar(self, what: str = "") -> Iterator[Callable[[int, int], None]]:
        yield lambda done, total: None

    @contextmanager
    def _sending(self) -> Iterator[Callable[[int, int], None]]:
        sent = 0

        def note(done: int, total: int) -> None:
            nonlocal sent
            sent += done
            if self._switch is not None and sent > total // 2:
                self._switch.write_text("1")
                self._switch = None

        yield note

    download_progress_bar = finalization_progress_bar = _bar
    update_progress_bar = _sending


def main(container: str, test_key: str, uuid: str, switch: str | None = None) -> None:
    keys = _NK3_DATA.nrf52_signature_keys
    _NK3_DATA.nrf52_signature_keys = [*keys, SignatureKey("Keyharness test key", True, test_key)]
    usb = OnUsb(int(uuid, 16))
    try:
        # A key that was cut is in its bootloader and shows no status: `nitropy` asks for --ignore-warning then.
        ignored = {Warning.UPDATE_FROM_BOOTLOADER}
        answers = Answers(Path(switch) if switch else None)
        version, _ = Updater(answers, usb, ignored).update(usb.there(), container)
    except Exception as error:
        # Whatever the SDK makes of a port that vanished.
        raise SystemExit(f"the update ended: {type(error).__name__}: {error}") from None
    print("the key runs", version, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
