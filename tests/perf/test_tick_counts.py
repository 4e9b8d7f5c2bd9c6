"""What a tick costs grows with the rules that are due, not with all. Counted, never timed."""

from __future__ import annotations

import math

from scripts.benches.reconcile import count


def test_with_ten_thousand_rules_and_a_hundred_due_a_tick_reads_the_index_and_the_work_of_a_hundred():
    calls = count(10_000, 100)
    made = calls.made
    assert made["dynamodb", "Scan"] == 0
    index_pages = made["dynamodb", "Query"] - 100  # each rule's own activity is one query
    assert 1 <= index_pages <= 2
    assert made["dynamodb", "BatchGetItem"] <= 1
    assert calls.of_dynamodb(reads=False) <= 100
    assert made["ec2", "DescribeInstances"] == math.ceil(100 / 200)
    assert made["sqs", "SendMessageBatch"] == 1
    assert calls.elsewhere <= 4  # the message, the describe, and what is asked once in the life of a process
