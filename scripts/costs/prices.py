"""List prices of us-east-1 in USD, without any free tier.

Written down on 2026-11-25 from memory of the pages named, on a machine that cannot reach them (DynamoDB's were found
so in articles of 2025): hold them against the pages before anybody relies on the last cent.

What costs nothing is not here: EventBridge's schedules and AWS's own events, SSM parameters, CloudFormation, IAM,
describes of EC2, RDS and ELB.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

AS_OF = "2026-11-25"
REGION = "us-east-1"


class Quantity(StrEnum):
    """What is counted, by the names of the items of a bill."""

    DYNAMODB_WRITES = "DynamoDB write request units"
    DYNAMODB_READS = "DynamoDB read request units"
    DYNAMODB_STORAGE = "DynamoDB storage and point-in-time recovery"
    LAMBDA_REQUESTS = "Lambda requests"
    LAMBDA_SECONDS = "Lambda duration"
    SQS_REQUESTS = "SQS requests"
    API_REQUESTS = "API Gateway requests"
    METRICS_READ = "CloudWatch metrics read"
    METRICS = "CloudWatch custom metrics"
    ALARMS = "CloudWatch alarms"
    LOGS = "CloudWatch Logs ingestion"
    TRACES = "X-Ray traces"
    SECRET_CALLS = "Secrets Manager calls"  # noqa: S105  (a name of an item)


@dataclass(frozen=True, slots=True)
class Price:
    """`usd` for `per` of `unit`."""

    usd: float
    per: int
    unit: str
    source: str


_DYNAMODB = "https://aws.amazon.com/dynamodb/pricing/on-demand/"
_LAMBDA = "https://aws.amazon.com/lambda/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"

PRICES: dict[Quantity, Price] = {
    Quantity.DYNAMODB_WRITES: Price(0.625, 1_000_000, "units of 1 KB", _DYNAMODB),
    Quantity.DYNAMODB_READS: Price(
        0.125, 1_000_000, "units of 4 KB, half of one where eventually consistent", _DYNAMODB
    ),
    Quantity.DYNAMODB_STORAGE: Price(0.25 + 0.20, 1, "GB-months", _DYNAMODB),
    Quantity.LAMBDA_REQUESTS: Price(0.20, 1_000_000, "requests", _LAMBDA),
    Quantity.LAMBDA_SECONDS: Price(16.6667, 1_000_000, "GB-seconds on x86_64", _LAMBDA),
    Quantity.SQS_REQUESTS: Price(0.40, 1_000_000, "requests to standard queues", "https://aws.amazon.com/sqs/pricing/"),
    Quantity.API_REQUESTS: Price(
        3.50, 1_000_000, "requests to REST APIs", "https://aws.amazon.com/api-gateway/pricing/"
    ),
    Quantity.METRICS_READ: Price(0.01, 1_000, "metrics asked for with GetMetricData", _CLOUDWATCH),
    Quantity.METRICS: Price(0.30, 1, "metrics of an own namespace, a month", _CLOUDWATCH),
    Quantity.ALARMS: Price(0.10, 1, "alarms of standard resolution, a month", _CLOUDWATCH),
    Quantity.LOGS: Price(0.50, 1_000_000_000, "bytes", _CLOUDWATCH),
    Quantity.TRACES: Price(5.00, 1_000_000, "traces recorded", "https://aws.amazon.com/xray/pricing/"),
    Quantity.SECRET_CALLS: Price(0.05, 10_000, "calls", "https://aws.amazon.com/secrets-manager/pricing/"),
}

DATA_PLANE = {"proxy": 7.59 + 0.64 + 0.40, "alb": 16.43}
"""A month of what carries the traffic, shown beside the control plane: a t3.micro (0.0104 an hour) with 8 GB of gp3 and
the secret with its key, which is there because the VM is; or an ALB (0.0225 an hour) without its LCUs. https://aws.amazon.com/ec2/pricing/on-demand/
https://aws.amazon.com/elasticloadbalancing/pricing/"""


def usd(quantity: Quantity, amount: float) -> float:
    """What so much of it costs."""
    price = PRICES[quantity]
    return amount * price.usd / price.per
