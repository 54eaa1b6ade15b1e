"""A key whose operations pay for what they spend, from a budget."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from harness.model.key import Key
from harness.model.memory import Memory
from harness.model.operation import Operation
from harness.model.rig import Rig

if TYPE_CHECKING:
    from harness.safety.budget import Budget


def with_budget(key: Key, budget: Budget) -> Key:
    """Return the same key with operations that reserve what they spend before they spend it.

    One that resets an application says so to the guard of the key's identity: it may remove the key's mark.
    """
    applications = tuple(
        replace(app, operations=tuple(_operation_with_budget(one, budget) for one in app.operations))
        for app in key.applications
    )
    return replace(key, applications=applications)


def _operation_with_budget(operation: Operation, budget: Budget) -> Operation:
    def act(rig: Rig, memory: Memory) -> None:
        budget.before(operation.cost, operation.name)
        if operation.resets and rig.transports.guard is not None:
            rig.transports.guard.expect_reset()
        operation.act(rig, memory)

    def missing(rig: Rig) -> str | None:
        return budget.refused(operation.cost) or (operation.missing(rig) if operation.missing else None)

    return replace(operation, act=act, missing=missing)


def spend_boot(budget: Budget) -> None:
    """Reserve what a boot costs; raises BudgetExhausted."""
    budget.draw("erases", budget.grants.erases_per_boot, "a boot")
