"""What became of each mail: the delivery log, the requests kept for another attempt, the endpoints."""
