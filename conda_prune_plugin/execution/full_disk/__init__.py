"""Making room where neither an inode nor a block is free."""
