"""Drivers: one small file for each way to power and reach a key."""
