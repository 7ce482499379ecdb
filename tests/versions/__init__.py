"""What each released version stored, and whether this one reads it."""
