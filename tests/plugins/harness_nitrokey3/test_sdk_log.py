"""The SDK's log is kept while the SDK works on a rig, in bounded memory."""

from __future__ import annotations

import logging

from harness.bench.registry import discover
from harness.model.key import client_logs
from harness_nitrokey3 import sdk, sdk_log

LOGGER = logging.getLogger("nitrokey.trussed.updates")


def test_what_the_sdk_logs_while_it_is_bound_is_kept_with_the_key():
    key = discover().keys["nitrokey3-mini"]
    with sdk.bound(None):
        LOGGER.debug("Waiting for the bootloader")
    LOGGER.debug("not ours any more")
    text = client_logs(key)["admin.log"].decode()
    assert "DEBUG" in text
    assert "nitrokey.trussed.updates Waiting for the bootloader" in text
    assert "not ours" not in text


def test_it_is_bounded_and_begins_anew():
    with sdk_log.kept():
        LOGGER.info("first")
    with sdk_log.kept():
        for number in range(sdk_log.LINES + 10):
            LOGGER.info("%s %s", number, "x" * 10_000)
    lines = sdk_log.text().splitlines()
    assert len(lines) == sdk_log.LINES
    assert all(len(line) <= sdk_log.CHARACTERS for line in lines)
    assert "first" not in sdk_log.text()


def test_the_level_of_the_sdks_logger_is_as_before():
    logger = logging.getLogger(sdk_log.LOGGER)
    before = logger.level, list(logger.handlers)
    with sdk_log.kept():
        assert logger.level == logging.DEBUG
    assert (logger.level, list(logger.handlers)) == before
