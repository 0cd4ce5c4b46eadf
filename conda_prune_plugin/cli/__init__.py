"""The commands: one file each, with its part of the parser and its `execute`."""
