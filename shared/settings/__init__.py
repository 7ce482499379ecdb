"""Define a tenant's settings, which its admin decides, and their changes.

`tenant` defines the values, `state` the transitions between them, `sender` who sends, `scopes` the
permissions that are requested, and `update` how settings are written if two processes change them at the same
time.
"""
