"""Where to cut, and what a clean result proves. No input, no output."""
