"""What the demo calls things."""

from __future__ import annotations

SITE_HOST = "site.demo.test"
SECURE_HOST = "secure.demo.test"
"""The same site over TLS; on plain HTTP this host is redirected there."""
SITE_PORT = 8080
DATABASE = "database"
FLOW_WINDOW = 5
"""Seconds, as .chalice/config.json says of the stage."""
