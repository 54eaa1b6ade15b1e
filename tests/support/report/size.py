"""What a run may leave on the disk. No test makes the default run for that; two measure its parts.

README.md shows a run of all operations of two rigs, which make 95 of 100 cuts of the default run: its files are those
without Allure's and without the cases. A test of Allure's page writes as many cases as the default run has.
"""

BYTES, FILES = 15_000_000, 300
"""Of all files of the default run."""
BYTES_WITHOUT_CASES = 9_000_000
"""Of these what operations leave: evidence, pictures, traces, journals, our page."""
CASES = 4400
BYTES_OF_CASES = 5_300_000
"""Limit in bytes for the files of the cases: Allure's archive and page, junit.xml, the packed lines."""
BYTES_OF_HISTORY = 600_000
"""What results of earlier runs add to Allure's page, as many as it shows."""
assert BYTES_WITHOUT_CASES + BYTES_OF_CASES + BYTES_OF_HISTORY < BYTES
