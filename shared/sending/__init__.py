"""Send one queued mail.

`deliver` has the procedure. Its steps are:

1. `queued` decodes the queue message, and finds the mail that it names.
2. `claim` claims a mail that has a row already, so that no other worker sends it.
3. `rate_limit` waits for the slot of the mail in the schedule of its mailbox.
4. `prepare` looks up the files, and chooses to send one request or a draft (`draft`, `upload`).
5. `hand_over` records, directly before the mail is sent, that it is sent. The same write claims a new mail.
6. `mailbox` calls Graph as the sender.
7. `reconcile` looks in the mailbox for a mail whose outcome is unknown.
8. `retry_policy` decides from the error what happens next, and `record_outcome` stores and logs it.
"""
