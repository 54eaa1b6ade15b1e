"""Mutate the code of twins, one small change at a time, and count how many the harness finds."""
