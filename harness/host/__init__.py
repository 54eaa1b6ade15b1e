"""The seam to Linux: devices, events, locks, the process that cuts."""
