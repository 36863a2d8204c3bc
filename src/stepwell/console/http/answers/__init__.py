"""The page of a link to a question: a form made from the schema of the answer, which works without JavaScript."""
