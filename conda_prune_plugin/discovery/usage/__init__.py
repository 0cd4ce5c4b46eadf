"""Bytes and inodes of caches, environments and other tools' caches."""
