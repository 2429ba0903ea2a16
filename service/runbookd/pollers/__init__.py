"""Doors that pull: what a sender does not tell by itself, it is asked."""
