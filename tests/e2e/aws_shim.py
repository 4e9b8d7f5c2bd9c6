"""`aws` for the commands of the documentation: `python tests/e2e/aws_shim.py SERVICE OPERATION --name value …`.

The real one would bring a second botocore. This one knows what the commands need: it takes service, operation and
options from botocore's own models, so that what AWS does not have is refused, and makes the call.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import boto3
from botocore import xform_name


def main() -> None:
    """Make the call, and print what it answers as JSON."""
    service, operation, *rest = sys.argv[1:]
    client = boto3.client(service)  # type: ignore[call-overload]
    if operation == "wait":
        waiter, *rest = rest
        client.get_waiter(waiter.replace("-", "_")).wait(**_options(rest, None))
        return
    names = {xform_name(name).replace("_", "-"): name for name in client.meta.service_model.operation_names}
    shape = client.meta.service_model.operation_model(names[operation]).input_shape
    answer = getattr(client, operation.replace("-", "_"))(**_options(rest, shape))
    answer.pop("ResponseMetadata", None)
    sys.stdout.write(json.dumps(answer, default=str, indent=2) + "\n")


def _options(words: list[str], shape: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for option, value in zip(words[::2], words[1::2], strict=True):
        name = "".join(part.title() for part in option.removeprefix("--").split("-"))
        if shape is None:
            found[name] = value
            continue
        member = shape.members[name]  # KeyError: AWS has no such option
        found[name] = int(value) if member.type_name == "integer" else value
    return found


if __name__ == "__main__":
    main()
