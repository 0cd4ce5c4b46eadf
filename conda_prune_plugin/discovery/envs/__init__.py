"""Evidence of an environment's use, and the export to rebuild it."""
