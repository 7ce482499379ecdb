"""The mail message: its fields, attachments and the payload for Graph."""
