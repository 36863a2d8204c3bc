"""Values as JSON: in and out of one type, equal or refused."""
