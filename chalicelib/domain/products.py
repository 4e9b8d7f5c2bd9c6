"""What AWS charges by the hour for: the words that a price is looked up by."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Ec2Product:
    """What is paid by the hour while an instance runs, in the words of DescribeInstances.

    `platform` is its PlatformDetails, `tenancy` its Placement.Tenancy, `spot` whether it came from a Spot request.
    """

    region: str
    instance_type: str
    platform: str = "Linux/UNIX"
    tenancy: str = "default"
    spot: bool = False


class Deployment(StrEnum):
    """How many copies of a database run; the price of each is the price of all its copies together."""

    SINGLE_AZ = "single_az"
    MULTI_AZ = "multi_az"
    MULTI_AZ_CLUSTER = "multi_az_cluster"
    """A writer and two readable standbys, which are one DB cluster of engine mysql or postgres."""


@dataclass(frozen=True, slots=True)
class RdsProduct:
    """What is paid by the hour while a database is available, in the words of DescribeDBInstances.

    `license_model` is its LicenseModel, empty where it has none; `io_optimized` is Aurora's storage `aurora-iopt1`.
    `instances` of that class are what an Aurora cluster consists of: the price list has the price of one.
    """

    region: str
    instance_class: str
    engine: str
    license_model: str = ""
    deployment: Deployment = Deployment.SINGLE_AZ
    io_optimized: bool = False
    instances: int = 1


@dataclass(frozen=True, slots=True)
class AlbProduct:
    """An Application Load Balancer by the hour; what is paid for what it carries (LCUs) is not in this."""

    region: str


Product: TypeAlias = Ec2Product | RdsProduct | AlbProduct
"""Whatever a price can be asked for."""
