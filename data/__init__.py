"""Audio in: corpora, scenes and example sets. Needs neither Ray nor MLflow."""

RATE = 16_000
"""Sampling rate in Hz of everything inside the project (section 5.1 of the paper)."""
