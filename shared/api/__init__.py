"""Serve HTTP: routes, authentication, request and response models.

`routes` lists every route; `framework` translates between `azure.functions` and `request`; `auth` turns a
bearer token into a caller. `settings`, `consent`, `deliveries` and `test_mail` hold the operations,
`*_models` their JSON, `pages` what the consent window shows, `openapi` the published description.
"""
