"""Keep what libraries say to their developers from people who test keys."""

from __future__ import annotations

import logging
import sys
import warnings


def silence_libraries() -> None:
    """Show no warnings and log lines of libraries on standard error. `python -W` and PYTHONWARNINGS go first."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    # Where nobody has set up logging, Python writes warnings of loggers to standard error.
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.CRITICAL + 1)
