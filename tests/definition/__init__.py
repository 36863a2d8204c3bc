"""What authors write, and what it is compiled into."""
