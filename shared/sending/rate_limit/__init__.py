"""Limit how fast the mails of one mailbox are sent, over all hosts.

`schedule` is the stored row of a mailbox, `slots` and `pace` change it; `mailbox_schedule` reads and writes
it for one process, and `throttle` has each mail wait for its slot.
"""
