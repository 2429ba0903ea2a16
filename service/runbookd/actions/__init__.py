"""Hands: everything runbookd can do to, or ask of, the world. One folder per provider, one file per action."""
