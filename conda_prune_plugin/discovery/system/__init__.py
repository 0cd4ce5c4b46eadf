"""The machine: safe reading, mounts, processes, privileges, worker processes."""
