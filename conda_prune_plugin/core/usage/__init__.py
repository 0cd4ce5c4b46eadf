"""Bytes on disk, counted by inode: of trees, packages and environments."""
