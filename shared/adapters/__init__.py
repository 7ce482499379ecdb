"""Translate between the app and external services, without decisions."""
