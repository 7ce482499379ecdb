"""Connect the app to external systems, one module for each.

Adapters translate calls and errors; they make no decisions.
"""
