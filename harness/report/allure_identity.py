"""History ids that stay the same from run to run.

allure-pytest derives a case's history id from the representations of its parameters. The representation of a function
holds its address, which differs in each run: such a case has no history. pytest's id of the parameters, which
`allure_labels.label_case` adds as the parameter `case`, tells cases apart, so parameters with an address are left out.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allure_commons.model2 import TestResult

_ADDRESS = re.compile(r" at 0x[0-9a-f]+")
_NAME = "keyharness-history"


def keep_history_ids() -> None:
    """Replace history ids that hold an address, from now on and in this process; allure_commons must be installed."""
    import allure_commons

    class Replacer:
        @allure_commons.hookimpl(tryfirst=True)
        def report_result(self, result: TestResult) -> None:
            replace_history_id(result)

    if not allure_commons.plugin_manager.has_plugin(_NAME):
        allure_commons.plugin_manager.register(Replacer(), _NAME)


def replace_history_id(result: TestResult) -> None:
    """Give a result with addresses in its parameters a history id without them; leave any other as it is."""
    with_address = [one for one in result.parameters if _ADDRESS.search(str(one.value))]
    if not with_address:
        return
    for one in with_address:
        one.value, one.excluded = _ADDRESS.sub("", str(one.value)), True
    kept = sorted((str(one.name), str(one.value)) for one in result.parameters if not one.excluded)
    result.historyId = hashlib.md5(repr((result.fullName, kept)).encode(), usedforsecurity=False).hexdigest()
