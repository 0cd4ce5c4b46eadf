"""Read the disk into values of the core. Nothing here writes."""
