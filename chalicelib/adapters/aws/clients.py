"""boto3 clients: made on first use, one a service, region and account, with bounded waiting."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.session import get_session

from chalicelib.domain.resources import OWN_ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Callable

    from boto3 import Session as Boto3Session
    from botocore.session import Session

    from chalicelib.domain.resources import Connector

SESSION_NAME = "autostop"
"""What CloudTrail of the other account shows as the caller, after the role's name."""

BOUNDED = Config(connect_timeout=2, read_timeout=8, retries={"mode": "standard", "total_max_attempts": 3})


def client(service: str, region: str, connector: Connector = OWN_ACCOUNT) -> Any:  # noqa: ANN401  (each adapter names the type it gets)
    """A client; AWS_ENDPOINT_URL is honoured by boto3 itself. Making it calls nobody, not even for credentials."""
    return made(service, region, connector)


def made_by(session: Session) -> Callable[[str, str], object]:
    """Clients of the own account from a session that is there already, which has read most of what a client needs."""

    @cache
    def make(service: str, region: str) -> object:
        return session.create_client(service, region_name=region, config=BOUNDED)

    return make


def forget() -> None:
    """Make all anew when they are next asked for, credentials too: for tests, whose account goes with each of them."""
    made.cache_clear()
    _assumed.cache_clear()


@cache
def made(service: str, region: str, connector: Connector) -> object:
    """The one client of these, kept for the life of the process."""
    import boto3  # noqa: PLC0415  (the warm-up function does without it, and a browser waits for that)

    own = connector == OWN_ACCOUNT
    new: object = (boto3 if own else _assumed(connector)).client(service, region_name=region, config=BOUNDED)  # type: ignore[call-overload]
    return new


@cache
def _assumed(connector: Connector) -> Boto3Session:
    """A session in the connector's role; its credentials are fetched when needed, and again before they run out."""
    import boto3  # noqa: PLC0415

    own = get_session()
    extra = {"RoleSessionName": SESSION_NAME}
    if connector.external_id:
        extra["ExternalId"] = connector.external_id
    fetcher = AssumeRoleCredentialFetcher(
        partial(own.create_client, config=BOUNDED), own.get_credentials(), connector.role_arn, extra
    )

    class AssumedRole(CredentialProvider):
        METHOD = "assume-role"

        def load(self) -> DeferredRefreshableCredentials:
            return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    session = get_session()
    session.register_component("credential_provider", CredentialResolver([AssumedRole()]))
    return boto3.Session(botocore_session=session)
