"""Identification of the API's callers, and their rights: tokens, JWTs of an issuer, and the application's own user."""
