"""Prune the caches: plan, preflight, removal."""
