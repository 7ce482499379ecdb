"""Send Inforiver's report mail through Microsoft 365.

Imports go downward only; `tests/test_architecture.py` checks it:

    api, triggers, enqueue, operate      HTTP, queue and timer functions, command lines
    scheduler_bootstrap                  builds the services of the schedulers' command line
    bootstrap                            builds the adapters and services, once a process
    lazy_config                          reads the app settings at their first use
    adapters                             Graph, Entra, Key Vault, Table, Blob and Queue Storage
    sending, consent                     one queued mail; one consent and its tokens
    deliveries                           the delivery log, requeueing, retries, retention
    mail                                 the message: fields, attachments, payload
    settings                             what a tenant's admin decided
    the other files in this folder       configuration, errors, telemetry, time
"""
