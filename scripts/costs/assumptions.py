"""What is not counted but assumed, all in one place; docs/explanation/cost.md shows it."""

from __future__ import annotations

from datetime import timedelta

HOURS = 730
"""Of a month, as AWS counts."""

IDLE = timedelta(minutes=15)
SESSION = timedelta(hours=6)
DAY = timedelta(hours=24)
"""A rule on a proxy is used for six hours of a day, in each of whose minutes somebody comes: 42 hours a week. Each
begins at a time of its own."""

USED_OF = 4
"""One rule in so many is used each day, and the others by nobody: more than in the population of scripts/simulation, in
which 3 % are always used, 7 % on most days, and nine in ten hardly ever."""

BOOT = timedelta(seconds=25)
"""From the start of an instance until its service accepts; people wait, so that their proxy asks all that time."""

RULES_A_PROXY = 1_000
RULES_AN_ALB = 100

LATENCY = {"dynamodb": 0.005, "sqs": 0.010, "ec2": 0.150, "elb": 0.100, "cloudwatch": 0.150}
"""Seconds that a function waits for a call of AWS."""

OVERHEAD = 0.002
"""Seconds of every invocation in Lambda's own runtime."""

VCPU_MB = 1769
"""The memory with which Lambda gives one processor: CPU takes so much longer with less. Ours is taken as one of theirs.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
"""

COLD_AFTER = timedelta(minutes=10)
COLD = 1.2
"""A function that was not called for so long starts cold, and so many seconds of that are billed."""

PLATFORM_LOG = 380
"""Bytes that Lambda itself logs of an invocation: START, END and REPORT, the last with the id of its trace."""

LOG_EVENT = 26
"""Bytes that CloudWatch Logs counts for an event beside its text."""

IDLE_POLLS_AN_HOUR = 5 * 3600 / 20
"""Of an event source mapping on an empty queue: five pollers, each of which asks every 20 s. So they are counted beside
every message, which costs a receive and a delete of its own.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

TRACED_ABOVE = 0.05
"""Of each function, the first invocation of a second is traced, and so much of the others; that cannot be set.

https://docs.aws.amazon.com/xray/latest/devguide/xray-services-lambda.html
"""

CERTIFICATES = 1
"""Of a proxy: two secrets, whose versions are asked for every five minutes."""

PEOPLE = 100
"""Requests a day that people and pipelines make: a page of a hundred rules each."""
