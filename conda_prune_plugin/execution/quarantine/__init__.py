"""Where something is moved before it is deleted or kept as a backup."""
