"""Suites: read like a checklist of what is asked of a key."""
