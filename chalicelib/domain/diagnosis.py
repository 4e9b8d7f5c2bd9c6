"""AWS's error codes and state reasons in words that say what to do next.

https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html and
https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshooting-launch.html
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Cause:
    """`marks`: parts of a code or message, in lower case, by which the cause is known; the first that fits counts."""

    marks: tuple[str, ...]
    words: str


_CAUSES = (
    _Cause(
        ("insufficientinstancecapacity", "insufficientcapacity", "insufficienthostcapacity"),
        "AWS has no capacity for this instance type in its zone now; another type, or a capacity reservation, helps.",
    ),
    _Cause(
        ("instancelimitexceeded", "vcpulimitexceeded", "volumelimitexceeded", "limitexceeded", "quota"),
        "A quota of the account is used up: ask for more in Service Quotas, or stop something else.",
    ),
    _Cause(
        ("inaccessible-encryption-credentials",),
        "Its KMS key is disabled, deleted or not granted: enable the key again, then it can be started.",
    ),
    _Cause(
        ("client.internalerror", "kms", "invalidkmskey", "encrypted"),
        "Most often the KMS key of an encrypted volume: the role that starts the instance needs kms:CreateGrant on it.",
    ),
    _Cause(
        ("license", "optinrequired", "marketplace", "pendingverification"),
        "A licence or subscription does not allow it: see License Manager or the AMI's Marketplace page.",
    ),
    _Cause(
        ("unauthorizedoperation", "accessdenied", "operationnotpermitted"),
        "AutoStop's role, a service control policy or the instance's own protection forbids it.",
    ),
    _Cause(("incorrectspotrequeststate", "spot"), "Its Spot request does not allow it now."),
    _Cause(
        ("incorrectinstancestate", "incorrectstate", "invalidstate", "invaliddbinstancestate", "invaliddbclusterstate"),
        "It is in a state that does not allow it; it is looked at again.",
    ),
    _Cause(
        ("invalidinstanceid", "dbinstancenotfound", "dbclusternotfound"),
        "It does not exist any more: take it out of the rule.",
    ),
    _Cause(
        ("invalidsnapshot", "invalidvolume", "volumeinuse", "ebs"),
        "A volume of it is missing or broken: see its block devices.",
    ),
)


def diagnosed(code: str | None, message: str | None) -> str:
    """AWS's own words, and after them what they mean where that is known."""
    own = ": ".join(part for part in (code, message) if part)
    where = own.lower()
    for cause in _CAUSES:
        if any(mark in where for mark in cause.marks):
            return f"{own.rstrip('.')}. {cause.words}"
    return own
