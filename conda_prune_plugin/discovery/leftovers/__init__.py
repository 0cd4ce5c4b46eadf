"""Leftovers of failed installs and removals, and the other targets of `conda clean`."""
