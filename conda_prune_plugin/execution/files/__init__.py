"""Changing single files and trees by directory descriptors."""
