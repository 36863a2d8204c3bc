"""Real servers for the tests, started where the environment names none. None of them outlives the tests, however these end."""
