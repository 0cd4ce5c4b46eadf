"""What each command does: takes values, calls discovery, the core and execution, and shows the results."""
