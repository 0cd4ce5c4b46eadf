"""What each command does: takes options, calls discovery, the core and execution, and returns results."""
