"""The command line: one file per command. `main.py` knows them all and imports none before it is called."""
