"""Describe the API in the OpenAPI document."""
