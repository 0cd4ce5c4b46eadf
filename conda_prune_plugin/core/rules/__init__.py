"""Decide what may be removed, and why: references, rules, ranking, and the plan."""
