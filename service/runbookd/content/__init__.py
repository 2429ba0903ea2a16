"""Reads rules and playbooks from disk: found, parsed with positions, validated, checked, tested, swapped whole."""
