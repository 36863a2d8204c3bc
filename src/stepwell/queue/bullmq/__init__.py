"""BullMQ over Redis or Valkey as the queue: jobs are hints, the database stays the truth. Only `client.py` imports bullmq."""
