"""How long requests may be held, and how many of them: a held one costs one concurrent execution of Lambda."""

from __future__ import annotations

from datetime import timedelta

LONGEST_HOLD = timedelta(seconds=25)
"""Within the 29 seconds of the function, and the 60 for which an ALB waits for its target (idle_timeout)."""

PLACES = 20
"""Requests held at a time, a rule."""

TRIES = 2
"""Places that one request tries: under a burst most of them are taken, and each try is a write."""
