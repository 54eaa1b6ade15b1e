"""Real keys on USB ports."""
