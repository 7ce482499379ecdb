"""Record each mail: the delivery log, requeueing, retries, retention."""
