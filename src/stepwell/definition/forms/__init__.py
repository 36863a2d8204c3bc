"""Widgets, and the JSON schemas by which Studio and the terminal make forms."""
