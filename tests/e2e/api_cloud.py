"""MiniStack with the two calls of API Gateway that `chalice deploy` makes: `python tests/e2e/api_cloud.py`.

It answers ImportRestApi with an API that has neither name nor routes, and knows no PutRestApi. Here both read the
document, by what the emulator itself reads the body of a template's REST API with, and the second one puts new routes
in the place of the old.
https://docs.aws.amazon.com/apigateway/latest/api/API_ImportRestApi.html
https://docs.aws.amazon.com/apigateway/latest/api/API_PutRestApi.html
"""

from __future__ import annotations

import json
from typing import Any

from ministack.app import main
from ministack.services import apigateway_v1 as gateway

_handle = gateway.handle_request


async def handle(method: str, path: str, headers: Any, body: bytes, query: dict[str, Any]) -> Any:
    """Import and put here, all else as it was."""
    parts = path.strip("/").split("/")
    mode = (query.get("mode") or [""])[0] if isinstance(query.get("mode"), list) else query.get("mode", "")
    if method == "POST" and parts == ["restapis"] and mode == "import":
        id_ = gateway._import_rest_api(json.loads(body), {"endpointConfiguration": {"types": ["REGIONAL"]}})
        status, answered, words = gateway._get_rest_api(id_)
        return 201 if status == 200 else status, answered, words
    if method == "PUT" and len(parts) == 2 and parts[0] == "restapis":
        return _put(parts[1], json.loads(body))
    return await _handle(method, path, headers, body, query)


def _put(id_: str, document: dict[str, Any]) -> Any:
    """The document instead of what is there (`mode=overwrite`)."""
    status, headers, words = gateway._get_rest_api(id_)
    if status != 200:
        return status, headers, words
    root = next(one for one in gateway._resources[id_].values() if one["path"] == "/")
    gateway._resources[id_] = {root["id"]: root | {"resourceMethods": {}}}
    for path, item in document.get("paths", {}).items():
        gateway._import_path_item(id_, path, item)
    return gateway._get_rest_api(id_)


def fill() -> None:
    """Put it into the emulator that is to run in this process."""
    gateway.handle_request = handle


if __name__ == "__main__":
    fill()
    main()
