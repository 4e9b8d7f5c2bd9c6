"""How long `decide` waits for what, and how long a drain reaches."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from chalicelib.domain.resources import ResourceKind

if TYPE_CHECKING:
    from chalicelib.domain.rules import RuleSpec

DESCRIBE_LAG = timedelta(seconds=20)
"""For so long after an accepted request a describe may show the state before it: EC2 is eventually consistent."""

START_TIMEOUTS = {ResourceKind.EC2: timedelta(minutes=10), ResourceKind.RDS: timedelta(minutes=30)}
"""A start that AWS accepted and that is not up by then has failed. A database can take many minutes.

https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/USER_StartInstance.html
"""


def start_timeout(spec: RuleSpec) -> timedelta:
    """How long a start of this rule may take, and its clients are held meanwhile."""
    return spec.start_timeout or START_TIMEOUTS[spec.kind]


DRAIN = timedelta(seconds=60)
"""How far ahead a drain reaches: the agent undoes it alone after that (design, section 2.6)."""

DRAIN_RENEWAL = timedelta(seconds=30)
DRAIN_GIVEN_UP = timedelta(minutes=3)

LOOK_STARTING = timedelta(seconds=5)
LOOK_PENDING = timedelta(seconds=15)
LOOK_DEPENDENCY = timedelta(seconds=20)
LOOK_HEALTH = timedelta(seconds=5)
"""What these wait for is told when it is so: by EventBridge, by the rule that is needed, by the proxy's report."""

LOOK_UNHEALTHY = timedelta(minutes=1)
"""A rule that runs and does not accept: the proxy's report of a change brings the look that matters."""

LOOK_DRY_RUN = timedelta(minutes=15)
"""What would be down is not woken: only a look tells that it would be up again."""

LOOK_PAUSED = timedelta(minutes=5)
LOOK_LIMITED = timedelta(minutes=1)
LOOK_DRAINING = timedelta(seconds=5)
LOOK_STOPPING = timedelta(seconds=20)

LOOK_RESTART = timedelta(minutes=5)
"""While AWS is late with the restart that it has named: nobody pays for what has not begun."""

LOOK_BUSY = timedelta(minutes=1)
"""Until a backup or a change of a database is over; EventBridge tells of most."""
