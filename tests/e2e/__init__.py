"""Test consent and sending end to end, up to Microsoft 365."""
