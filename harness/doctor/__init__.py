"""`keyharness doctor`: find what would keep a run from working on this host; each with its cause and its mend."""
