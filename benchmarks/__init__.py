"""What Keyharness costs, each figure beside a named alternative in the same run; nothing is asserted."""
