"""Quarantine: entries are moved there before they are deleted or kept as a backup."""
