"""Comparing models, and saying how sure the comparison is."""
