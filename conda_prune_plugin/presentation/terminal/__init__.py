"""The terminal: console, tables, progress, output streams."""
