"""HTTP: routes, authentication, request and response shapes, pages."""
