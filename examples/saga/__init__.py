"""A trip is booked at three services; if one of them can't, what was booked is given back, newest first.

`python -m examples.saga` shows three trips: one that works out, one that doesn't, and one that is cancelled half-way.
"""
