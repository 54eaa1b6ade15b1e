"""What touches a key: a relay or an actuator on one, the Pico rig, a command, a person."""
