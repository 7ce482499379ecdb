"""Hold what a tenant's admin decided.

`tenant` holds the values, `state` the changes that are allowed, `sender` who sends, `scopes` the permissions
that are requested, `update` how settings change while others change them too.
"""
