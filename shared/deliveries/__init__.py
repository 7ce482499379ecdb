"""Keep what happened to each mail: the delivery log, requeueing, retries, retention."""
