"""A campaign over four weeks: letters at nine in the morning where the subscriber is, until they unsubscribe.

`python -m examples.drip` shows it in a second, on a clock that needn't wait. `workflows.py` is what you would write.
"""
