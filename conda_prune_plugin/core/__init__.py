"""Frozen values and pure functions: no disk, no clock, no conda, no output."""
