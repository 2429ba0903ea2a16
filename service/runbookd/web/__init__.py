"""Door: HTTP, by aiohttp. Webhooks come in here; health and metrics are read here."""
