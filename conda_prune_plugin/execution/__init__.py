"""Carry a plan out and return outcomes. Prints nothing, imports no conda."""
