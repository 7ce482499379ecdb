"""Translate between the app and each external service; decisions are made elsewhere."""
