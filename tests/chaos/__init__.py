"""The hostile bench: `make chaos` breaks the service, its disk and its database, and counts what that cost."""
