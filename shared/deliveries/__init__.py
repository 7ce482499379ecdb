"""The delivery log: each mail's status, retries, endpoints."""
