"""An approval with an assignee, a deadline, an escalation, and links by mail: `python -m examples.approval`.

Nothing leaves this machine: a mail is a file.
"""
