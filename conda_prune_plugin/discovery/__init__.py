"""Reads the disk into values of the core; with `plugin`, `cli` and `errors` the only place that imports conda."""
