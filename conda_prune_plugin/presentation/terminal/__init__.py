"""What a terminal shows: console, tables, progress, output streams."""
