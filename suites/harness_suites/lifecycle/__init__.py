"""The life of an HSM: PINs, backups, and what its owner can do when something is blocked or lost."""
