"""Share the storage of files that are stored more than once."""
