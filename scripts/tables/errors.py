"""What can be wrong with a file of tables, or with the tables that it is to go into."""

from __future__ import annotations

from scripts.deployment.errors import DeploymentError


class UnreadableExportError(DeploymentError):
    """The file is not, or not all of, what an export writes; the message has every fault that was found."""


class NotEmptyError(DeploymentError):
    """The tables have something in them that would be overwritten."""
