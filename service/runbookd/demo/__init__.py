"""The demonstration: a small service with users of its own, that releases break and rollbacks mend."""
