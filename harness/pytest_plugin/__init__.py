"""The pytest plugin: options, fixtures, results, scheduling."""
