"""A power driver inside another table of a bench: a part of `combined`, the relay of a touch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from harness.api import ActuatorRequest, CallerError, PowerDriver, PowerSwitch, expected_words, one_of
from harness_rigs.power.board_errors import Part, place_of


@dataclass(frozen=True)
class Nested:
    """A driver with its checked settings."""

    driver: PowerDriver
    options: Any

    @property
    def channel(self) -> str:
        return self.driver.channel(self.options)

    def make(
        self, request: ActuatorRequest, name: str, *, port: str | None, momentary: bool = False
    ) -> PowerSwitch:
        """Make the switch.

        :param name: the key of its table, for messages.
        """
        place = place_of(request).rpartition(" · ")[2]
        inner = Part(
            request.rig, self.options, port, request.host, request.clock, f"{place}.{name}", momentary
        )
        return self.driver.make(inner)


def nested(table: Mapping[str, Any], name: str, **defaults: Any) -> Nested:
    """Look up the driver that a table names, from any plugin, and check its settings.

    :param defaults: settings that the table may leave out, if the driver has them.
    :raises PydanticCustomError: the table does not fit; for use in a validator.
    """
    from harness.api import discover

    power = discover().power
    driver = power.get(str(table.get("driver")))
    if driver is None:
        raise _wrong(
            f"{name}.driver: the name of a power driver: {one_of(str(table.get('driver')), list(power))}"
        )
    known = driver.options.model_fields
    settings = {key: value for key, value in defaults.items() if key in known}
    settings |= {key: value for key, value in table.items() if key != "driver"}
    try:
        return Nested(driver, driver.options.model_validate(settings))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise _wrong(
                f'{name}.{field}: no such setting of "{driver.name}", which has {", ".join(known)}'
            ) from None
        raise _wrong(f"{name}.{field}: {expected_words(first)}") from None
    except CallerError as error:
        raise _wrong(f"{name}: {error.what}") from None


def _wrong(text: str) -> PydanticCustomError:
    # pydantic takes the text for a template: text from a bench must not be filled in.
    return PydanticCustomError("nested_switch", "{text}", {"text": text})
