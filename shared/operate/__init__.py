"""The operator's command line: pause and resume sending, delete what is stored of a tenant or a person."""
