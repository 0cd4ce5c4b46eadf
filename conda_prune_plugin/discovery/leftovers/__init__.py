"""What failed installs and removals leave, and what else `conda clean` removes."""
