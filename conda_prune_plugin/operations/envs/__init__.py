"""Environments: evidence of use, and removal."""
