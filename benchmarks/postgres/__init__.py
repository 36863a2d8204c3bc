"""PostgreSQL on the same machine, with one worker process and with two, and BullMQ."""
