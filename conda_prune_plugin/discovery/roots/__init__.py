"""What keeps packages: environments, their earlier revisions, lockfiles."""
