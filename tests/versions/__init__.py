"""Data stored by each released version, which this one must read."""
