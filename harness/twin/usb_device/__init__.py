"""A twin as a USB device: descriptors, standard requests, device classes, and the wires that carry them to a host."""
