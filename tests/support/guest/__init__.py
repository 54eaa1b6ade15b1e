"""A virtual machine with a real Linux USB stack: this host's file system, simulated keys on the ports of a hub."""
