"""The agent on the proxy VM: polls, writes Envoy's files, watches, wakes, ships activity. One asyncio process."""
