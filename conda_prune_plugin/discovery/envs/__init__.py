"""Evidence of an environment's use, and what it takes to make it again."""
