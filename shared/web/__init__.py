"""HTTP in general: requests, responses, callers, problem documents."""
