"""Where each client keeps its caches and environments: conda, mamba, pixi, rattler, and tools that build on them."""
