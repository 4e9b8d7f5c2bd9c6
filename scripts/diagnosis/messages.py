"""The queues: what nobody could take in, and how long work waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scripts.diagnosis.finding import Finding, Level

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.deployment.deployment import Deployment

BACKLOG = 100
"""Messages that wait; a message has up to 500 rules."""


def look(deployment: Deployment) -> Iterator[Finding]:
    """Dead letters and backlogs."""
    sqs, stage = deployment.session.client("sqs"), deployment.stage.name
    for name in ("dead-letters", "reconcile", "provision"):
        queue = f"autostop-{stage}-{name}"
        url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        told = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        waiting = int(told["Attributes"]["ApproximateNumberOfMessages"])
        if name == "dead-letters" and waiting:
            words = f"{waiting} messages and events could not be taken in, and lie in {queue}"
            remedy = (
                "The log groups /aws/lambda/autostop-… say why. Look at one: aws sqs receive-message --queue-url "
                f"{url}. Nothing hangs on them: the next tick sees what they were about."
            )
            yield Finding(Level.WRONG, words, remedy)
        elif waiting > BACKLOG:
            yield Finding(Level.WRONG, f"{waiting} messages wait in {queue}", f"Is {name} throttled, or failing?")
        else:
            yield Finding(Level.WELL, f"{queue}: {waiting} messages")
