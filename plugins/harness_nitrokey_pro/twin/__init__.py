"""The simulated Nitrokey Pro."""
