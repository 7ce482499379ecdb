"""The two journeys from the outside: the API, the queue, and what arrives at Microsoft 365."""
