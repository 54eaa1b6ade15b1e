"""What switches a key's power: hubs, relays, boards, a command, a person. One file for each."""
