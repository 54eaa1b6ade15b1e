"""`python -m harness` is `keyharness`."""

from harness.cli.main import main

main()
