"""Runs that can be restored or purged."""
