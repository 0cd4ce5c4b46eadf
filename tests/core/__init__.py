"""The tests of the core: they run no conda."""
