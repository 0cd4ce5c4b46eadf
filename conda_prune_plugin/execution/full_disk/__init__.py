"""Free space on a disk without a free inode or block."""
