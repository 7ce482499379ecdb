"""The operator's command line: pause and resume sending, and delete the data of a tenant that left."""
