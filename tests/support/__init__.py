"""What tests of several rooms share; pytest imports it because pyproject.toml puts tests/ on the path."""
