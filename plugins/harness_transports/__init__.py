"""The common transports: CTAPHID, card, serial port, HID feature reports. Below rigs' clients and keys' plugins."""
