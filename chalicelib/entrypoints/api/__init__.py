"""The HTTP API of the public contract. The API handler alone imports pydantic."""
