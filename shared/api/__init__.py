"""Serve HTTP: routes, authentication, request and response models.

`routes` registers every route. `framework` translates between `azure.functions` and the app's own `request`.
`auth` turns a bearer token into a caller. `settings`, `consent`, `deliveries` and `test_mail` have the
operations, `*_models` their JSON, `pages` the pages of the consent window, and `openapi` the published
description of the API.
"""
