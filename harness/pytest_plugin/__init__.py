"""The pytest plugin: options, fixtures, recorded results, scheduling with pytest-xdist."""
