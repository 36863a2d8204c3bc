"""Host applications of other frameworks, one file each: an order and its durable run are stored in one transaction.

`python -m examples.hosts.flask_shop 8000` serves one. docs/hosts.md explains them.
"""
