"""Conformance of a SmartCard-HSM: what its two public clients send, and which answers they act upon."""
