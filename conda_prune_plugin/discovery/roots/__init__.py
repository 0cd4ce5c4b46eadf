"""Roots, which keep packages: environments, their earlier revisions, lockfiles."""
