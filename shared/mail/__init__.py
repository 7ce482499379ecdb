"""Define the mail message: its fields, attachments, JSON Schema and the payload for Graph."""
