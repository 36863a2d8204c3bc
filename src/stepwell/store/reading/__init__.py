"""Queries for people: lists, counts and the live stream. None of them decides anything."""
