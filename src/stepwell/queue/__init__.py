"""The queue by which a worker learns that a run is ready: the database's own index, and wake-ups that make it quick.

`bullmq/` puts Redis or Valkey beside it. May import `store` and what `store` may import.
Rules are cited by their numbers in docs/rules.md.
"""
