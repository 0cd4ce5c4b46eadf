"""Turns a plan and its outcomes into JSON and text, both from the same values."""
