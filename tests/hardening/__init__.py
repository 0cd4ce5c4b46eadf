"""The tests that can go on for hours: see README.md."""
