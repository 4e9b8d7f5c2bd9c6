"""Load balancers and rules, as the API tells of them: agents, certificates, what cannot be seen."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.cli.api import Api
    from scripts.deployment.deployment import Deployment

SOON = timedelta(days=30)
"""Before the end of a certificate of ACM; what ACM renews, it renews 60 days before."""
_BLIND = frozenset({"blind", "no_source"})


def look(deployment: Deployment, api: Api) -> Iterator[Finding]:
    """Every load balancer's state and warnings, agents and certificates among them; every rule that is not well."""
    for listed in api.items("/load-balancers", None):
        yield from _balancer(api.get(f"/load-balancers/{listed['id']}"), deployment)
    blind = failed = rules = 0
    for rule in api.items("/rules", None):
        rules += 1
        code = rule["state_reason"]["code"] if isinstance(rule["state_reason"], dict) else rule["state_reason"]
        if rule["state"] == "failed":
            failed += 1
            yield Finding(
                Level.WRONG, f"{rule['id']} {rule['name']} failed: {code}", f"autostop rules explain {rule['id']}"
            )
        elif code in _BLIND:
            blind += 1
            words = f"{rule['id']} {rule['name']} cannot be seen, and stays up"
            yield Finding(Level.WRONG, words, f"autostop rules explain {rule['id']}")
    if not blind and not failed:
        yield Finding(Level.WELL, f"{rules} rules, none of them failed or blind")


def _balancer(balancer: dict[str, Any], deployment: Deployment) -> Iterator[Finding]:
    name = f"{balancer['id']} {balancer['name']}"
    if balancer["status"] == "failed":
        yield Finding(Level.WRONG, f"{name} failed: {balancer['status_reason']}")
    for warning in balancer["warnings"]:
        yield Finding(Level.WATCH, f"{name}: {warning}")
    yield from _certificate(balancer, deployment)
    if balancer["status"] != "failed" and not balancer["warnings"]:
        yield Finding(Level.WELL, f"{name} is {balancer['status']}")


def _certificate(balancer: dict[str, Any], deployment: Deployment) -> Iterator[Finding]:
    arn = balancer.get("certificate_arn")
    if not arn:
        return
    acm = deployment.session.client("acm", region_name=balancer["region"])
    try:
        found = acm.describe_certificate(CertificateArn=arn)["Certificate"]
    except ClientError as error:
        yield Finding(Level.WATCH, f"{balancer['id']}: its certificate could not be looked at: {error}")
        return
    ends = found.get("NotAfter")
    if ends is not None and ends - datetime.now(UTC) < SOON:
        words = f"{balancer['id']} {balancer['name']}: its certificate ends at {ends:%Y-%m-%d}"
        yield Finding(
            Level.WRONG, words, f"ACM says of its renewal: {found.get('RenewalEligibility', 'nothing')}. {arn}"
        )
