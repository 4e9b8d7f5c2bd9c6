"""The one place that knows all: builds adapters from settings and hands them to use cases.

A module for each family of functions; each function builds, and imports, only what its Lambda function needs.
"""
