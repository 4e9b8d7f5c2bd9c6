"""The only importers of chalice: every event function a Blueprint in a module of its own, and the HTTP API."""
