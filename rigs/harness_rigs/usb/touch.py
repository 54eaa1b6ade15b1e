"""Touch a key on a USB port with the actuator that the bench names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from harness.api import Clock, Touch
from harness_rigs.touch.when_asked import TouchWhenAsked


class ActuatorTouch(TouchWhenAsked):
    """Holds the actuator from when the key has asked until it has answered.

    :param actuator: what touches the key; None touches nothing. An actuator without `holding` can only be told
        beforehand, and decides itself when to press.
    """

    def __init__(self, actuator: Touch | None, clock: Clock):
        super().__init__(clock)
        self._actuator = actuator
        self._holds = actuator is not None and type(actuator).holding is not Touch.holding
        self._held = ExitStack()

    @property
    def can_touch(self) -> bool:
        return self._actuator is not None

    @property
    def can_withhold(self) -> bool:
        return self._actuator is None or self._actuator.can_withhold

    @property
    def press_us(self) -> int | None:
        return self._actuator.press_us if self._actuator is not None else None

    @property
    def can_press(self) -> bool:
        return self._holds

    def press(self) -> None:
        assert self._actuator is not None
        self._held.enter_context(self._actuator.holding())

    def release(self) -> None:
        self._held.close()

    @contextmanager
    def pressing(self, *, delay_us: int = 200_000) -> Iterator[None]:
        if self._actuator is None or self._holds:
            with super().pressing(delay_us=delay_us):
                yield
        else:
            with self._actuator.pressing(delay_us=delay_us):
                yield

    def holding(self) -> AbstractContextManager[None]:
        return self._actuator.holding() if self._actuator is not None else super().holding()
