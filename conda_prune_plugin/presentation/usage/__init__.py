"""Where the disk goes, as text, JSON and HTML."""
