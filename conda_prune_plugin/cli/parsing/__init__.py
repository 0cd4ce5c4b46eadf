"""Turn the words of a command line into values, and explain wrong ones."""
