"""The card side of a simulated OpenPGP card."""
