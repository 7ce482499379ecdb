"""Build the pages of the consent window."""
