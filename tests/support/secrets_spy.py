"""A pytest plugin for tests: notes every PIN, private key and token that a run uses, in $SPY_FILE."""

from __future__ import annotations

import os

import pytest


def _note(kind: str, value: bytes) -> None:
    fd = os.open(os.environ["SPY_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(fd, f"{kind} {value.hex()}\n".encode())
    os.close(fd)


@pytest.hookimpl(tryfirst=True)
def pytest_configure() -> None:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519
    from fido2.ctap2 import ClientPin

    import harness.safety.pins

    derive, pin_for, token = ec.derive_private_key, harness.safety.pins.pin_for, ClientPin.get_pin_token
    from_bytes = ed25519.Ed25519PrivateKey.from_private_bytes

    def spied_derive(value, *more):
        _note("key", value.to_bytes(32, "big"))
        return derive(value, *more)

    def spied_pin_for(rig, which, reference):
        pin = pin_for(rig, which, reference)
        _note("pin", pin.encode())
        return pin

    def spied_token(self, pin, *more):
        value = token(self, pin, *more)
        _note("pin", pin.encode())
        _note("token", value)
        return value

    def spied_from_bytes(value):
        _note("key", bytes(value))
        return from_bytes(value)

    ec.derive_private_key = spied_derive
    ed25519.Ed25519PrivateKey.from_private_bytes = spied_from_bytes
    harness.safety.pins.pin_for = spied_pin_for
    ClientPin.get_pin_token = spied_token
