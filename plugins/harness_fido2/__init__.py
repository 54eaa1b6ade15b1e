"""FIDO2: the client, its operations and items, and the device side for twins."""
