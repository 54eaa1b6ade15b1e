"""What is written down: journals, run folders, the ledger."""
