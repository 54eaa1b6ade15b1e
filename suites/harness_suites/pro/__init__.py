"""Does the HID side of a Nitrokey Pro do what its owner and the known clients expect?"""
