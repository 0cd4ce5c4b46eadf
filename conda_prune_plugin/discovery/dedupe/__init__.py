"""Files that are stored more than once, by the hashes in records."""
