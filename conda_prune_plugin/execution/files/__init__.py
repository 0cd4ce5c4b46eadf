"""Change files and trees through directory descriptors."""
