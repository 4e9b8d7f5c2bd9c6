"""Structured logs: one JSON object a line, with what the call passes in `extra`."""

from __future__ import annotations

import json
import logging
import os

from chalicelib.usecases import subject

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "aws_request_id"}


class JsonFormatter(logging.Formatter):
    """What CloudWatch Logs Insights reads without a parse."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {"level": record.levelname, "logger": record.name, "message": record.getMessage()}
        if function := os.environ.get("AWS_LAMBDA_FUNCTION_NAME"):
            line["function"] = function
        if request_id := getattr(record, "aws_request_id", None):  # Lambda's own handler puts it there
            line["request_id"] = request_id
        line |= subject.ids()
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
    for noisy in ("botocore", "urllib3", "boto3", "pynamodb"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
