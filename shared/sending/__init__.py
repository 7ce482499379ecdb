"""Send one queued mail.

1. `queued`        decodes the queue message and finds the mail that it names
2. `deliver`       the procedure: sender, slot, preparation, hand-over
3. `claim`         claims a mail that has a row already, so that no other worker sends it
4. `rate_limit`    waits for the mail's slot in the schedule of its mailbox
5. `prepare`       reads attachments and chooses a single request or a draft (`draft`, `upload`)
6. `mailbox`       calls Graph as the sender
7. `hand_over`     records directly before sending that the mail is sent; claims a new mail by the same write
8. `reconcile`     looks in the mailbox for a mail whose outcome is unknown
9. `retry_policy`  decides from the error what happens next; `record_outcome` stores and logs it
"""
