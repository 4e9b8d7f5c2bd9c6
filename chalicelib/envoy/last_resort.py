"""What a browser meets when neither the target nor the agent answers: Envoy's own page."""

from __future__ import annotations

from typing import Any

# Envoy reads the text as a format: it must have no per cent sign.
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="refresh" content="3"><meta name="color-scheme" content="light dark"><title>Not reachable yet</title>
<style>body{font:1.1rem/1.5 system-ui,sans-serif;max-width:34rem;margin:5rem auto 0;padding:0 1.5rem}
h1{font-size:1.5rem}</style></head>
<body><main role="status"><h1>Not reachable yet</h1><p>What you asked for does not answer at the moment.
This page tries again by itself.</p></main></body></html>
"""


def local_replies() -> dict[str, Any]:
    """Envoy's own errors, for browsers only. The answers of targets, whatever their status, are no local replies."""
    is_error = {"comparison": {"op": "GE", "value": {"default_value": 500, "runtime_key": "autostop.local_reply"}}}
    is_browser = {"header": {"name": "accept", "string_match": {"contains": "text/html"}}}
    return {
        "mappers": [
            {
                "filter": {
                    "and_filter": {"filters": [{"status_code_filter": is_error}, {"header_filter": is_browser}]}
                },
                "status_code": 503,
                "headers_to_add": [_header("retry-after", "3"), _header("cache-control", "no-store")],
                "body_format_override": {
                    "text_format_source": {"inline_string": _PAGE},
                    "content_type": "text/html; charset=utf-8",
                },
            }
        ]
    }


def _header(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
