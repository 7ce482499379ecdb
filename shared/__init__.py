"""Send Inforiver's report mail through Microsoft 365.

Imports go downward only; `tests/test_architecture.py` checks it:

    api, triggers, enqueue, operate      HTTP, queue and timer functions, command lines
    bootstrap                            builds the adapters and services, once a process
    adapters                             Graph, Entra, Key Vault, Table, Blob and Queue Storage
    sending, consent                     one queued mail; one consent and its tokens
    deliveries                           the delivery log, requeueing, retries, retention
    mail                                 the message: fields, attachments, payload
    settings                             what a tenant's admin decided
    the files in this folder             configuration, errors, telemetry, time
"""
