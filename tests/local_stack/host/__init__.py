"""A small Functions host for machines without Core Tools, around Microsoft's own Python runtime package.

Indexing, binding conversion and invocation are the genuine code. What the host does around them is ours,
after the sources of Azure/azure-functions-host and the storage-queue extension: HTTP routes, CORS, queue
triggers and outputs, timers, log levels, the function timeout.

Not covered: keys and auth levels (every call passes, as with `func start`), identity-based storage
connections (refused at start), host retries, HTTP throttles and streams, other bindings and binding
expressions (refused at start), disabled functions, scaling, one timer run among several hosts (each host
runs its own). An idle queue is polled ten times a second, without the real host's back-off.
"""
