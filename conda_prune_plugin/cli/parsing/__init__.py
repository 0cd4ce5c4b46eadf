"""From the words of a command line to values: options, what they mean together, and what to say of wrong ones."""
