"""The commands that documents, workflows, hooks and texts have people and machines type, and their checks."""
