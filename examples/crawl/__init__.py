"""A crawler that fetches several pages of many hosts at once, and never more of one host than that host bears.

`python -m examples.crawl` starts a small web of its own on this machine, crawls it for two users, shows the progress, and
checks by the web's log that no host was ever asked for more than its limits allow. It ends by itself.

`workflows.py` is what you would write, `web.py` what is crawled, `proof.py` reads the log, `__main__.py` shows it all.
"""
