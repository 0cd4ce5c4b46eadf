"""Show plans and results as text, JSON and HTML, all from the same values."""
