"""Locks on a cache: ours, and those of other clients."""
