"""Output for people, and questions to them, in a terminal."""
