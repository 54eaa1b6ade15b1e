"""A switch inside another table of a bench: a part of a combination, the relay of a finger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from harness.base.errors import CallerError, one_of
from harness.bench.plugin_api import ActuatorRequest, PowerDriver
from harness.model.rig import PowerSwitch
from harness_rigs.power.board_errors import Part, place_of


@dataclass(frozen=True)
class Nested:
    """A driver, and its settings as they were found to be good."""

    driver: PowerDriver
    options: Any

    @property
    def channel(self) -> str:
        return self.driver.channel(self.options)

    def make(
        self, request: ActuatorRequest, name: str, *, port: str | None, momentary: bool = False
    ) -> PowerSwitch:
        """Make it, for messages under `name` of the table that it stands in."""
        place = place_of(request).rpartition(" · ")[2]
        inner = Part(
            request.rig, self.options, port, request.host, request.clock, f"{place}.{name}", momentary
        )
        return self.driver.make(inner)


def nested(table: Mapping[str, Any], name: str, **defaults: Any) -> Nested:
    """Look a table's driver up, whoever it is from, and check its settings.

    :param defaults: settings that it has where nothing is said, if it knows them.
    :raises PydanticCustomError: it does not fit; for use in a validator.
    """
    from harness.bench.registry import discover

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
        raise _wrong(f"{name}.{field}: {first['msg']}") from None
    except CallerError as error:
        raise _wrong(f"{name}: {error.what}") from None


def _wrong(text: str) -> PydanticCustomError:
    # The text is a template: nothing of a bench is to be filled in.
    return PydanticCustomError("nested_switch", "{text}", {"text": text})
