"""Keyharness: pull the plug on a security key at any instant, and know what its owner would have lost."""

__version__ = "0.1.0"
