"""Measurements of speed and of choices, each against a named baseline in the same run; see README.md here."""
