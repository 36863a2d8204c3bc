"""Many runs at once, on either database: groups of children, batches, and limits."""
