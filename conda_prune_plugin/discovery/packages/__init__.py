"""Package caches and their entries: names, metadata, integrity, provenance."""
