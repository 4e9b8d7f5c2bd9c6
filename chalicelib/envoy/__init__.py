"""Envoy knowledge: configuration from compact rules, access-log lines to activity. Standard library only.

It runs in Lambda and in the agent on the proxy VM alike. Every field's reason is measured in research/envoy.md.
"""
