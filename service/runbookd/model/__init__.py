"""Nouns: what runbookd thinks about. Frozen values without behaviour or I/O; every time is an aware UTC datetime."""
