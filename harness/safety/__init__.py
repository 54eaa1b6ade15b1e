"""What keeps a key from harm."""
