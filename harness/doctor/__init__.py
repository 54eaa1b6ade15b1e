"""`keyharness doctor`: what would keep a run from working on this host, each with its cause and how to mend it."""
