"""Evidence of an environment's use, and what is needed to rebuild it."""
