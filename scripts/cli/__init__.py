"""`./scripts/autostop`: the HTTP API from a terminal, and what an operator needs besides."""
