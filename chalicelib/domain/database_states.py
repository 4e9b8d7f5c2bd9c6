"""Every status that RDS and Aurora have, and what it means to AutoStop: go, wait, or fail. Pure.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/accessing-monitoring.html#Overview.DBInstance.Status
https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/accessing-monitoring.html
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.resources import ResourceState


@dataclass(frozen=True, slots=True)
class Meaning:
    """Of one status. `busy`, `fault`: see ObservedResource. `serves`: it takes connections, as far as AWS tells."""

    state: ResourceState
    busy: str | None = None
    fault: str | None = None
    serves: bool = False


def _wait(why: str, *, serves: bool = True) -> Meaning:
    """It runs and is charged for, and AWS refuses to stop it: StopDBInstance takes only what is available."""
    return Meaning(ResourceState.RUNNING, why, serves=serves)


def _fail(why: str) -> Meaning:
    """Nothing that AutoStop may do brings it up."""
    return Meaning(ResourceState.PENDING, fault=why)


_STARTS = Meaning(ResourceState.PENDING)
_GOES = Meaning(ResourceState.GONE)

MEANINGS: dict[str, Meaning] = {
    # What is not said to be busy is acted upon.
    "available": Meaning(ResourceState.RUNNING, serves=True),
    "starting": _STARTS,
    "creating": _STARTS,
    "stopping": Meaning(ResourceState.STOPPING),
    "stopped": Meaning(ResourceState.STOPPED),
    # As stopped, but with a start that AWS refuses until its key is there again, and says so.
    "inaccessible-encryption-credentials-recoverable": Meaning(ResourceState.STOPPED),
    "deleting": _GOES,
    # Wait: AWS is at work on it.
    "backing-up": _wait("is being backed up"),
    "backtracking": _wait("is being backtracked", serves=False),
    "configuring-activity-stream": _wait("gets or loses an activity stream"),
    "configuring-associated-roles": _wait("gets or loses a role"),
    "configuring-enhanced-monitoring": _wait("gets or loses Enhanced Monitoring"),
    "configuring-iam-database-auth": _wait("gets or loses IAM authentication"),
    "configuring-log-exports": _wait("gets or loses log exports"),
    "converting-to-vpc": _wait("is moving into a VPC", serves=False),
    "delete-precheck": _wait("is about to be deleted"),
    "failing-over": _wait("is failing over", serves=False),
    "maintenance": _wait("is being maintained by AWS", serves=False),
    "migrating": _wait("is being restored from a snapshot", serves=False),
    "modifying": _wait("is being modified"),
    "moving-to-vpc": _wait("is moving to another VPC", serves=False),
    "preparing-data-migration": _wait("is being prepared for a migration"),
    "promoting": _wait("is being promoted", serves=False),
    "rebooting": _wait("is being rebooted", serves=False),
    "renaming": _wait("is being renamed", serves=False),
    "resetting-master-credentials": _wait("gets another master password"),
    "scaling-capacity": _wait("is being scaled"),
    "scaling-compute": _wait("is being scaled"),
    "scaling-storage": _wait("is being scaled"),
    "storage-config-upgrade": _wait("has its storage upgraded"),
    "storage-full": _wait("has no storage left, and AWS stops nothing in that state: give it more"),
    "storage-initialization": _wait("is loading its storage"),
    "storage-optimization": _wait("has its storage optimised"),
    "update-iam-db-auth": _wait("gets or loses IAM authentication"),
    "upgrading": _wait("is being upgraded", serves=False),
    # Fail: a person has to mend it.
    "cloning-failed": _fail("could not be cloned"),
    "failed": _fail("has failed: AWS cannot recover it, and it has to be restored from a backup"),
    "inaccessible-encryption-credentials": _fail(
        "cannot be used, as its KMS key cannot: restore it from a backup with a key that can"
    ),
    "incompatible-create": _fail("could not be created with these resources (incompatible-create)"),
    "incompatible-credentials": _fail("has credentials that cannot be used (incompatible-credentials)"),
    "incompatible-network": _fail("has no room in its network (incompatible-network): see its subnets and addresses"),
    "incompatible-option-group": _fail("cannot apply its option group (incompatible-option-group)"),
    "incompatible-parameters": _fail("cannot start with its parameter group (incompatible-parameters): reset those"),
    "incompatible-restore": _fail("cannot be restored to that time (incompatible-restore)"),
    "insufficient-capacity": _fail("found no capacity in AWS (insufficient-capacity): another class or zone helps"),
    "migration-failed": _fail("could not be restored from a snapshot"),
    "restore-error": _fail("could not be restored from a snapshot or to that time (restore-error)"),
    "unsupported-configuration": _fail("is outside the support perimeter of RDS Custom (unsupported-configuration)"),
}


def meaning(status: str) -> Meaning:
    """Of any status; of one that AWS might add some day we know only that neither start nor stop is due."""
    return MEANINGS.get(status) or Meaning(
        ResourceState.RUNNING, f"is in state {status[:60]}, which AutoStop does not know"
    )
