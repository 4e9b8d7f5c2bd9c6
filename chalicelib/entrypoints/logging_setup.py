"""Structured logs: one JSON object a line, with what the call passes in `extra`."""

from __future__ import annotations

import json
import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "aws_request_id"}


class JsonFormatter(logging.Formatter):
    """What CloudWatch Logs Insights reads without a parse."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def set_up() -> None:
    """Put it on the root logger's handlers (Lambda brings one); once a process."""
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    if not root.handlers:
        root.addHandler(logging.StreamHandler())
    for handler in root.handlers:
        handler.setFormatter(JsonFormatter())
    for noisy in ("botocore", "urllib3", "boto3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
