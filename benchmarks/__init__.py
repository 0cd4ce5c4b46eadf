"""Benchmarks: large installs in conda's on-disk format, and what the commands take on them."""
