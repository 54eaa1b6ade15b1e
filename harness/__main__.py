"""`python -m harness` is `keyharness`."""

from harness.cli import main

main()
