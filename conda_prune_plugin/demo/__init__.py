"""Real packages and a sandbox of real environments: for ``conda prune demo``, and for the tests."""
