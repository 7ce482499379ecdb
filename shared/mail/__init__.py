"""Define the mail message: fields, attachments, schema, Graph payload."""
