"""What can go wrong with a deployment, in words for whoever runs it."""

from __future__ import annotations


class DeploymentError(Exception):
    """The message says what is wrong, where, and what to do next."""


class WrongStageError(DeploymentError):
    """No stage can be called so, or nobody knows where it would be."""


class StackFailedError(DeploymentError):
    """CloudFormation gave up."""


class ChaliceFailedError(DeploymentError):
    """`chalice` ended with an error; it printed which."""


class NotAsWantedError(DeploymentError):
    """A step was taken, and what it should have changed is not seen."""


class StillInUseError(DeploymentError):
    """Something of the stage must go first."""


class UnhealthyError(DeploymentError):
    """What was deployed does not answer as it should."""
