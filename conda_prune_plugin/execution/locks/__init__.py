"""Locks on a cache: this program's, and those of other clients."""
