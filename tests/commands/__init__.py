"""Checks of the commands in documents, workflows, hooks and texts."""
