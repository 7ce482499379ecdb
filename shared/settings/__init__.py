"""A tenant's settings, which consent and sending share.

`tenant` holds the values, `state` the allowed transitions, `journey` an admin's operations, `contract` the
shapes of the API, `operations` its description, `endpoints` the routes.
"""
