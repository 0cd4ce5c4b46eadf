"""Pruning the caches: plan, checks before removal, removal, and what is told of it."""
