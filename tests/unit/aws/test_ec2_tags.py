"""The one call that finds what has the tags of all rules of a place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.adapters.aws.ec2 import PAGE, Ec2Compute
from chalicelib.domain.resources import Place, Protection, ResourceKind

if TYPE_CHECKING:
    from tests.unit.aws.conftest import Wire

HERE = Place(ResourceKind.EC2, "us-east-1")
STORAGE = ("m5d.large",)


def instance(number: int, type_: str = "t3.micro", **tags: str) -> dict[str, Any]:
    return {
        "InstanceId": f"i-{number:08x}",
        "State": {"Name": "running"},
        "InstanceType": type_,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }


def serve(wire: Wire, *pages: list[dict[str, Any]]) -> Ec2Compute:
    """Each page leads to the next one."""

    def describe(params: dict[str, Any]) -> dict[str, Any]:
        n = int(params.get("NextToken", "0"))
        more = {"NextToken": str(n + 1)} if n + 1 < len(pages) else {}
        return {"Reservations": [{"Instances": pages[n]}], **more}

    wire.on["DescribeInstances"] = describe
    wire.on["DescribeInstanceTypes"] = lambda params: {
        "InstanceTypes": [
            {"InstanceType": t, "InstanceStorageSupported": t in STORAGE} for t in params["InstanceTypes"]
        ]
    }
    wire.tap("ec2")
    return Ec2Compute()


def test_what_is_asked_for(wire: Wire) -> None:
    serve(wire, []).tagged(HERE, ["env", "team"])
    assert wire.asked("DescribeInstances") == [
        {
            "Filters": [
                {"Name": "tag-key", "Values": ["env", "team"]},
                {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
            ],
            "MaxResults": PAGE,
        }
    ]


def test_every_page_is_followed(wire: Wire) -> None:
    compute = serve(wire, [instance(1, env="a")], [], [instance(2, env="b"), instance(3, env="c")])
    found = compute.tagged(HERE, ["env"])
    assert [(ref.id, seen.tags) for ref, seen in found.items()] == [
        ("i-00000001", {"env": "a"}),
        ("i-00000002", {"env": "b"}),
        ("i-00000003", {"env": "c"}),
    ]
    assert wire.count == {"DescribeInstances": 3, "DescribeInstanceTypes": 1}


def test_protections_are_told_but_for_the_one_that_costs_a_call_of_its_own(wire: Wire) -> None:
    group = {"aws:autoscaling:groupName": "g"}
    compute = serve(wire, [instance(1, "m5d.large", env="a"), instance(2, **group), instance(3, env="a")])
    found = [seen.resource.protections for seen in compute.tagged(HERE, ["env"]).values()]
    assert found == [(Protection.DATA_LOSS,), (Protection.AUTO_SCALING,), ()]


def test_a_backslash_in_a_key_stays_one(wire: Wire) -> None:
    serve(wire, []).tagged(HERE, ["a\\b"])
    assert wire.asked("DescribeInstances")[0]["Filters"][0]["Values"] == ["a\\\\b"]
