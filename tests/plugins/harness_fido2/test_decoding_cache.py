"""python-fido2 looks hints and fields up once per class; another version of it is left as it is made."""

from __future__ import annotations

import dataclasses
import sys
import typing
from types import ModuleType

import pytest
from fido2 import cbor, utils
from fido2.ctap2 import Info
from fido2.ctap2 import base as ctap2_base
from hypothesis import given
from hypothesis import strategies as st

from harness_fido2.decoding_cache import LOOKED_UP, keep_lookups

INFO = {
    1: ["FIDO_2_0", "FIDO_2_1"],
    3: bytes(range(16)),
    4: {"rk": True, "clientPin": False},
    6: [2, 1],
    13: 6,
}


KEPT = vars(utils)
"""The global names of python-fido2's module."""


@dataclasses.dataclass
class Answer:
    """A class that no other test asks for, so that nothing of it is kept yet."""

    number: int = 0
    text: str | None = None


def test_the_installed_version_has_every_name_that_is_relied_upon() -> None:
    assert keep_lookups() == [f"{module}.{name}" for module, name in LOOKED_UP]
    # The second time it finds its own work.
    assert keep_lookups() == [f"{module}.{name}" for module, name in LOOKED_UP]


def test_the_client_keeps_them() -> None:
    import harness_fido2.client  # noqa: F401

    assert KEPT["get_type_hints"] is not typing.get_type_hints
    assert KEPT["fields"] is not dataclasses.fields


def test_an_answer_decodes_to_the_same_with_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_lookups()
    kept = Info.from_dict(INFO)
    for module in (utils, ctap2_base):
        monkeypatch.setattr(module, "fields", dataclasses.fields)
    monkeypatch.setattr(utils, "get_type_hints", typing.get_type_hints)
    assert Info.from_dict(INFO) == kept
    assert kept.min_pin_length == 6
    assert kept.options == {"rk": True, "clientPin": False}


def test_hints_of_a_class_are_resolved_once(monkeypatch: pytest.MonkeyPatch) -> None:
    keep_lookups()
    resolved: list[type] = []
    real = typing.get_type_hints

    def counted(owner: type) -> dict[str, object]:
        resolved.append(owner)
        return real(owner)

    monkeypatch.setattr(typing, "get_type_hints", counted)
    for _ in range(3):
        assert KEPT["get_type_hints"](Answer) == {"number": int, "text": str | None}
    assert resolved == [Answer]


def test_fields_of_an_instance_are_those_of_its_class() -> None:
    keep_lookups()
    assert KEPT["fields"](Answer(3)) is KEPT["fields"](Answer)
    assert KEPT["fields"](Answer) == dataclasses.fields(Answer)


@pytest.mark.parametrize("asked", [{"localns": {}}, {"include_extras": True}])
def test_a_question_that_is_not_kept_is_asked_anew(asked: dict[str, object]) -> None:
    keep_lookups()
    annotated = dataclasses.make_dataclass("annotated", [("x", typing.Annotated[int, "unit"])])
    assert KEPT["get_type_hints"](annotated, **asked) == typing.get_type_hints(annotated, **asked)


def test_another_version_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    newer, older = ModuleType("newer_fido2"), ModuleType("older_fido2")
    own = lambda owner: ()  # noqa: E731
    vars(older)["fields"] = own
    monkeypatch.setitem(sys.modules, "newer_fido2", newer)
    monkeypatch.setitem(sys.modules, "older_fido2", older)
    assert (
        keep_lookups(
            [("newer_fido2", "get_type_hints"), ("newer_fido2", "fields"), ("older_fido2", "fields")]
        )
        == []
    )
    assert not hasattr(newer, "get_type_hints")
    assert not hasattr(newer, "fields")
    assert vars(older)["fields"] is own


def test_a_version_without_the_module_is_left_alone() -> None:
    assert keep_lookups([("harness_fido2.no_such_module", "fields")]) == []


VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(-(2**64), 2**64 - 1), st.text(max_size=9), st.binary(max_size=9)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.tuples(inner, inner),
        st.dictionaries(st.one_of(st.integers(-99, 99), st.text(max_size=4)), inner, max_size=4),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_a_request_encodes_to_the_same_bytes_with_plain_types_first(value: object) -> None:
    keep_lookups()
    first = list(vars(cbor)["_SERIALIZERS"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cbor, "_SERIALIZERS", first[6:])
        as_made = cbor.encode(value)
    assert cbor.encode(value) == as_made
    assert [kind for kind, _ in first[:7]] == [bool, int, str, bytes, dict, list, bool]


def test_an_encoder_that_is_built_in_another_way_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    other = [(int, str.encode)]
    monkeypatch.setattr(cbor, "_SERIALIZERS", other)
    keep_lookups()
    assert vars(cbor)["_SERIALIZERS"] is other
    monkeypatch.delattr(cbor, "_SERIALIZERS")
    assert "fido2.utils.fields" in keep_lookups()
