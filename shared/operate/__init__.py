"""The operator's commands: pause and resume, delete stored data."""
