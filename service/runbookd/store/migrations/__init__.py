"""Numbered migrations, a folder per engine; applied by the engine when it opens the database."""
