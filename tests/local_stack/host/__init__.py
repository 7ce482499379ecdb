"""A small Functions host around Microsoft's own Python runtime package.

Indexing, binding conversion and invocation are the genuine code, in a worker process of its own. What the
host does around them is ours, after the open-source host as it was observed
(`tests/emulator_tests/test_host_*.py` hold what was observed) and after its sources: routes, limits, keys,
CORS, cookies, queue triggers and outputs, timers, log levels, function timeouts, worker processes that die,
stops and drains.

Not covered: function keys (the master key and one host key exist), identity-based storage connections
(refused at start), host retries, HTTP throttles and streams, HTTP/2, other bindings and binding expressions
(refused at start), scaling, one timer run among several hosts (each host runs its own),
telemetry of the host itself. Azure's front end (TLS, `X-Forwarded-*`, the limit of 230 s) is not part of it
either.
"""
