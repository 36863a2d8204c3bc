"""How a worker learns that a run is due. The database's own index is the queue; a doorbell makes it quick.

May import `store` and below; `bullmq.py` will be the only importer of bullmq.
"""
