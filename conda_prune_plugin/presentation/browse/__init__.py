"""The browser of environments and packages: rows as values, and the Textual app that shows them."""
