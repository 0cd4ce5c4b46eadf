"""How environments and caches share files: hard links, copies, soft links."""
