"""What a tenant's admin decides: the noun that both journeys share.

`tenant` holds the values, `state` what may happen to them, `journey` what an admin can do,
`contract` the shapes on the wire, `operations` what is promised of them, `endpoints` the routes.
"""
