"""Send one queued mail.

1. `queued`        decodes the queue message and finds the mail that it names
2. `claim`         claims the delivery, so that no other worker sends it
3. `deliver`       the procedure: sender, slot, preparation, hand-over
4. `rate_limit`    waits for the mail's slot in the schedule of its mailbox
5. `prepare`       reads attachments and chooses a single request or a draft (`draft`, `upload`)
6. `mailbox`       calls Graph as the sender
7. `reconcile`     looks in the mailbox for a mail whose outcome is unknown
8. `retry_policy`  decides from the error what happens next; `record_outcome` stores and logs it
"""
