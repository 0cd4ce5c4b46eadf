"""Rules on environments: evidence of use, and protection from removal."""
