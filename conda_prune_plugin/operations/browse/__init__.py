"""The data behind the browser of environments and packages."""
