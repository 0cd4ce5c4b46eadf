"""What the machine tells: files read safely, mounts, processes, privileges, worker processes."""
