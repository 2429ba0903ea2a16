"""Verbs: how runbookd decides. Pure functions from values to values, `now` included, each with a named reason."""
