"""Calibration methods, one a file: each reads a range from the same statistics."""
