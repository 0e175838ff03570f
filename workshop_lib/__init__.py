"""Cascade Workshop: answer most requests with a cheap model, escalate the rest, and prove whether it paid."""

__version__ = "0.1.0"
