"""Carries a plan out and returns outcomes. Prints nothing, imports no conda."""
