"""What every model of a simulated card refuses; a card whose chip was erased halts."""

from __future__ import annotations

import pytest

from harness.base.errors import CallerError
from harness.twin.model import TwinOptions
from harness_cards.twin_model import CardModel
from harness_nitrokey_hsm2.twin import MODEL as HSM
from harness_nitrokey_pro.twin.model import MICROCONTROLLER
from harness_nitrokey_pro.twin.model import MODEL as PRO
from harness_openpgp.twin.model import MODEL as OPENPGP

MODELS = {"the Nitrokey HSM 2 twin": HSM, "the Nitrokey Pro twin": PRO, "the OpenPGP twin": OPENPGP}


@pytest.mark.parametrize("title", MODELS)
@pytest.mark.parametrize(
    "options, what",
    [
        (TwinOptions(layer="safe"), 'flash layer "safe"'),
        (TwinOptions(personality="refrence"), 'personality "refrence"'),
        (TwinOptions(defects=("no-such",)), 'defect "no-such"'),
    ],
)
def test_a_name_that_a_card_does_not_have_is_refused_with_the_card(title, options, what):
    with pytest.raises(CallerError, match=f"{what} of {title}"):
        MODELS[title].build(options, bytes(32))


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_the_only_layer_of_a_card_can_be_named(model: CardModel):
    assert model.layer(TwinOptions(layer="plain")) == model.layer(TwinOptions()) == "plain"


@pytest.mark.parametrize("model", MODELS.values(), ids=list(MODELS))
def test_a_card_without_a_file_system_halts_when_it_gets_power(model: CardModel):
    board = model.build(TwinOptions(), bytes(32))
    board.power_on()
    assert not board.panicked
    board.power_off()
    state = board.state()
    for chip, image in board.state().chips.items():
        if chip == MICROCONTROLLER:
            continue  # without its program a Nitrokey Pro waits in its bootloader
        for page, content in enumerate(image.pages):
            state = state.with_page(chip, page, b"\xff" * len(content))
    board.load(state)
    board.power_on()
    assert board.panicked
