"""Send Inforiver's report mail through Microsoft 365.

Modules import only from layers below them, which `tests/test_architecture.py` checks:

    api, triggers, enqueue, operate      HTTP, queue and timer functions, command lines
    scheduler_bootstrap                  builds the services of the schedulers' command line
    bootstrap                            builds the adapters and services, once per process
    lazy_config                          reads the app settings at their first use
    adapters                             Graph, Entra, Key Vault, Table, Blob and Queue Storage
    sending, consent                     one queued mail; one consent and its tokens
    deliveries                           the delivery log, requeueing, retries, retention
    mail                                 the message: fields, attachments, payload
    settings                             the settings of a tenant, which its admin decides
    the other files in this folder       configuration, errors, telemetry, time limits
"""
