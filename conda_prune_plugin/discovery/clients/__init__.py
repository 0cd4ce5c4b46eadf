"""Who keeps what where: conda, mamba, pixi, rattler and the tools that build on them."""
