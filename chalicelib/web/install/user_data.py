"""The user data of a VM that AutoStop makes: it fetches the install script, which is too long for user data itself."""

from __future__ import annotations

import hashlib
import re
import shlex
from dataclasses import dataclass

LARGEST = 16 * 1024
"""Bytes. https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-add-user-data.html"""

TRIES = 360
"""Ten seconds apart: an hour, in which somebody may fill a secret, or give the subnet a way to the internet."""


@dataclass(frozen=True, slots=True)
class UserDataSettings:
    """`install_script`: what the VM will be answered, as text."""

    api_url: str
    load_balancer_id: str
    secret_arn: str
    install_script: str


def user_data(settings: UserDataSettings, template: str) -> str:
    """A script without any secret in it. Raises ValueError for more than EC2 takes."""
    values = {
        "LOAD_BALANCER_ID": settings.load_balancer_id,
        "INSTALL": shlex.quote(f"{settings.api_url}/load-balancers/{settings.load_balancer_id}/install"),
        "SECRET": shlex.quote(settings.secret_arn),
        "SECRET_REGION": shlex.quote(settings.secret_arn.split(":")[3]),
        "SHA256": hashlib.sha256(settings.install_script.encode()).hexdigest(),
        "TRIES": str(TRIES),
        # An emulator's API has no TLS; of AWS's nothing else is taken.
        "PROTO": "=https" if settings.api_url.startswith("https:") else "=http",
    }
    text = re.sub(r"@([A-Z0-9_]+)@", lambda match: values[match[1]], template)
    if len(text.encode()) > LARGEST:
        raise ValueError(f"The user data has {len(text.encode())} bytes, more than {LARGEST}.")
    return text
