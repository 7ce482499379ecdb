"""Packaging, deployment and checks: azd, GitHub, pins, the package."""
