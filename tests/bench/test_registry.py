"""What plugins offer by the name of a key, and what is said where that goes wrong."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from harness.base.errors import CallerError
from harness.bench import registry
from harness.bench.bench import key_name
from harness.bench.plugin_api import hookimpl


def offering(**hooks):
    """A plugin module that implements hooks."""
    module = ModuleType("offered")
    for name, function in hooks.items():
        function.__name__ = name
        setattr(module, name, hookimpl(function))
    return module


@pytest.fixture
def discover_with(monkeypatch):
    """Discover the installed plugins and one more, called "another"."""

    def discover(module):
        extra = EntryPoint("another", "another_plugin", registry.GROUP)
        installed = list(registry.entry_points(group=registry.GROUP))
        monkeypatch.setattr(registry, "entry_points", lambda group: [*installed, extra])
        load = registry._load
        monkeypatch.setattr(
            registry, "_load", lambda entry, info: module if entry is extra else load(entry, info)
        )
        return registry.discover()

    return discover


def test_a_twin_and_updates_are_found_by_the_name_of_their_key():
    plugins = registry.discover()
    assert plugins.twin("nitrokey3-mini").sound
    assert "update.install" in plugins.update_support("nitrokey3-mini").operations


def test_a_key_without_a_twin_or_known_updates_is_named():
    plugins = registry.discover()
    with pytest.raises(CallerError, match="fido2") as caught:
        plugins.twin("fido2")
    assert caught.value.found == "no twin"
    with pytest.raises(CallerError, match="fido2"):
        plugins.update_support("fido2")
    with pytest.raises(CallerError, match="nosuch"):
        plugins.twin("nosuch")


def test_a_plugin_offers_a_twin_for_a_key_of_its_own(discover_with):
    plugins = discover_with(offering(keyharness_twins=lambda: {"acme": "a twin"}))
    assert plugins.twins["acme"] == "a twin"
    assert "nitrokey3-mini" in plugins.twins


def test_two_twins_of_one_key_are_refused(discover_with):
    with pytest.raises(CallerError, match="keyharness_twins") as caught:
        discover_with(offering(keyharness_twins=lambda: {"nitrokey3-mini": "a twin"}))
    for word in ('plugin "another"', 'plugin "nitrokey3"', 'key "nitrokey3-mini"'):
        assert word in str(caught.value)


def test_an_offer_that_is_no_mapping_is_explained(discover_with):
    with pytest.raises(CallerError, match="keyharness_updates") as caught:
        discover_with(offering(keyharness_updates=lambda: ["nitrokey3-mini"]))
    assert caught.value.expected == "a mapping of the names of keys"


def test_the_key_of_the_default_bench_is_meant_where_none_is_named():
    plugins = registry.discover()
    assert key_name(None, plugins) == "nitrokey3-mini"
    assert key_name("fido2", plugins) == "fido2"
