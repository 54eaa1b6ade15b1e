"""The Nitrokey Pro: one-time passwords and a password safe over HID feature reports, beside an OpenPGP card."""
