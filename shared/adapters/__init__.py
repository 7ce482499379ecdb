"""Call external services, and translate their responses and errors."""
