"""A simulated Nitrokey 3A Mini."""
