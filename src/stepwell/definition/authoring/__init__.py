"""The names that authors write: the base class of workflows, marks, documents, payloads, events and retries."""
