"""The console: where people inspect and operate runs. Stands on the kernel, which never imports it.

`reading` shapes what is stored into models; `http` serves them, live streams and Studio; `cli` shows them in a terminal.
"""
