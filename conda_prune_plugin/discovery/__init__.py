"""Reads the disk into values of the core; writes nothing, anywhere."""
