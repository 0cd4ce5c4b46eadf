"""Rules on environments: what tells of their use, and what protects them."""
