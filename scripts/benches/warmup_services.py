"""DynamoDB and SQS as far as the warm-up function asks them, answering at once. Ends when its standard input does."""

from __future__ import annotations

import hashlib
import json
import sys
import threading
import zlib
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from chalicelib.adapters.dynamodb.rule_items import to_item
from chalicelib.domain.compact import compact_rule
from chalicelib.domain.resources import ResourceKind
from chalicelib.domain.routes import HttpRoute
from chalicelib.domain.rules import Rule, RuleSpec, RuleStatus

RULES = 100
"""As many as an ALB takes."""


def _rule(number: int) -> Rule:
    host = "app.example.com" if number == 0 else f"app{number}.example.com"
    routes = (HttpRoute((host,), target_port=8080),)
    spec = RuleSpec(
        f"rule {number}",
        timedelta(minutes=15),
        ResourceKind.EC2,
        "us-east-1",
        (f"i-{number:017x}",),
        load_balancer_id="lb_1",
        http=routes,
    )
    now = datetime.now(UTC)
    return Rule(f"ru_{number:026d}", spec, RuleStatus(since=now, due_at=now + timedelta(hours=1)), 1, 1, now, now)


class Services(BaseHTTPRequestHandler):
    """Each wake finds the rule down again: so each request is the dearest."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # one write an answer, and
    disable_nagle_algorithm = True  # at once: nothing of the network's is to be measured
    rule = to_item(_rule(0)).serialize()
    doors: ClassVar[list[dict[str, Any]]] = [
        {
            "load_balancer_id": {"S": "lb_1"},
            "part": {"S": f"rule#{rule.id}"},
            "body": {"S": compact_rule(rule.id, rule.spec, ["10.0.0.1"])},
        }
        for rule in map(_rule, range(RULES))
    ]

    def do_POST(self) -> None:
        """One call."""
        data = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        operation = self.headers.get("X-Amz-Target", "").partition(".")[2]
        body = json.dumps(self._answer(operation, data)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.0")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("x-amz-crc32", str(zlib.crc32(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, operation: str, data: dict[str, Any]) -> dict[str, Any]:
        if operation == "Query":
            items = self.doors if data["TableName"].endswith("proxies") else []
            return {"Count": len(items), "ScannedCount": len(items), "Items": items}
        if operation == "GetItem":
            return {"Item": self.rule} if data["TableName"].endswith("rules") else {}
        if operation == "UpdateItem":
            values = {**data["ExpressionAttributeValues"]}
            at = max((v for v in values.values() if "N" in v), key=lambda value: int(value["N"]))
            by = next(v for v in values.values() if v.get("S", "").startswith("traffic "))
            return {"Attributes": self.rule | {"woken_at": at, "woken_by": by}}
        if operation == "BatchWriteItem":
            return {"UnprocessedItems": {}}
        if operation == "SendMessageBatch":
            sent = [
                {
                    "Id": e["Id"],
                    "MessageId": "m",
                    "MD5OfMessageBody": hashlib.md5(e["MessageBody"].encode(), usedforsecurity=False).hexdigest(),
                }
                for e in data["Entries"]
            ]
            return {"Successful": sent, "Failed": []}
        raise ValueError(f"the warm-up function is not expected to ask for {operation}")

    def log_message(self, *_: object) -> None:
        """Nothing."""


def main() -> None:
    """Print the port, then serve."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Services)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
