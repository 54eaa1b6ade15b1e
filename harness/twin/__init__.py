"""What every twin stands on: flash that tears, virtual time, power, record and replay."""
