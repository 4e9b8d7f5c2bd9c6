"""The script that makes a VM of the user's own the proxy of a load balancer."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from chalice.app import Response

from chalicelib.bootstrap import parts
from chalicelib.domain.access import Role
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.load_balancers import LoadBalancerKind
from chalicelib.entrypoints.api.routing import Call, Routes

if TYPE_CHECKING:
    from collections.abc import Mapping

routes = Routes(__name__)

SHELL = "text/x-shellscript"


def api_url(context: Mapping[str, object], path: str, emulator: str | None) -> str:
    """Where this API is for others, from what API Gateway says of a request for `path`. Raises ConflictError.

    The path of the context has before ours the stage, or the base path of a domain of one's own. An emulator names no
    domain: there the API is below its endpoint.
    """
    if "domainName" in context:
        return f"https://{context['domainName']}{str(context['path']).rstrip('/').removesuffix(path)}"
    if emulator and "apiId" in context:
        return f"{emulator}/restapis/{context['apiId']}/{context['stage']}/_user_request_"
    raise ConflictError("API Gateway does not say at which address it was asked, so the proxy could not be told.")


def own_url(context: Mapping[str, object], path: str) -> str:
    """Where this API is for others. Raises ConflictError."""
    return api_url(context, path, os.environ.get("AWS_ENDPOINT_URL"))


@routes.add(
    "GET",
    "/load-balancers/{load_balancer_id}/install",
    Role.ADMIN,
    "The script that installs, or upgrades, the proxy on a VM; there is no key in it",
    or_its_proxy=True,
    media=SHELL,
)
def install(call: Call[None], load_balancer_id: str) -> Response:
    # A wake does not wait for zipfile and the reading of the agent.
    from chalicelib.web.install.made import install_script

    balancer = call.services.manage_load_balancers.stored(load_balancer_id)
    if balancer.kind is not LoadBalancerKind.PROXY:
        raise ConflictError(f"{load_balancer_id} is no proxy: there is nothing to install.")
    made = balancer.provision
    # A VM of ours was told the hash of what it is answered: it does not depend on the name by which it asks.
    url = made.api_url if made else own_url(call.request.context, f"/load-balancers/{load_balancer_id}/install")
    text = install_script(parts.install_settings(balancer, url))
    digest = hashlib.sha256(text.encode()).hexdigest()
    headers: dict[str, str | list[str]] = {
        "Content-Type": SHELL,
        "Cache-Control": "no-store",
        "AutoStop-Script-SHA256": digest,
    }
    return Response(text, headers, 200)
