"""The machine: safe reading, mounts, processes, privileges."""
