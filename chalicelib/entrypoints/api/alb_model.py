"""The body of an ALB."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator

from chalicelib.domain.albs import AccessLogs, AlbSettings, Theme
from chalicelib.entrypoints.api.models import Name, Region, Strict, matches
from chalicelib.entrypoints.api.route_models import Host, distinct

# https://docs.aws.amazon.com/acm/latest/APIReference/API_DescribeCertificate.html
CertificateArn = Annotated[
    str,
    matches(
        r"arn:aws[a-z-]*:acm:[a-z]{2}(-[a-z]+)+-\d:\d{12}:certificate/[\w-]{1,64}", "the ARN of an ACM certificate"
    ),
]
AlbArn = Annotated[
    str,
    matches(
        r"arn:aws[a-z-]*:elasticloadbalancing:[a-z]{2}(-[a-z]+)+-\d:\d{12}:loadbalancer/app/[A-Za-z0-9-]{1,32}/[0-9a-f]{1,32}",
        "the ARN of an application load balancer",
    ),
]
ZoneId = Annotated[str, matches(r"[A-Z0-9]{1,32}", "the id of a hosted zone such as Z0123456789ABCDEFGHIJ")]
LogoUrl = Annotated[
    str,
    matches(r"https://[\x21\x23-\x26\x28-\x3b\x3d\x3f-\x7e]{1,492}", "a https URL of at most 500 characters"),
]
Colour = Annotated[str, matches(r"#[0-9a-fA-F]{6}", "a colour such as #0f5132")]

VPC = matches(r"vpc-[0-9a-f]{1,17}", "a VPC id")
SUBNET = matches(r"subnet-[0-9a-f]{1,17}", "a subnet id")
GROUP = matches(r"sg-[0-9a-f]{1,17}", "a security group id")


class ThemeBody(Strict):
    """What the pages look like."""

    title: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    logo_url: LogoUrl | None = None
    colour: Colour | None = None
    text: Annotated[str, Field(min_length=1, max_length=500)] | None = None

    def theme(self) -> Theme:
        """The theme as the domain knows it."""
        return Theme(self.title, self.logo_url, self.colour, self.text)


PREFIX = matches(r"([A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+){0,20})?", "a prefix such as albs/dev")


class AccessLogsBody(Strict):
    """Where the access log goes: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html."""

    bucket: Annotated[str, matches(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", "the name of a bucket")]
    prefix: Annotated[
        str, matches(r"[A-Za-z0-9!_.*'()-]+(/[A-Za-z0-9!_.*'()-]+){0,20}|", "a prefix such as albs/dev")
    ] = ""

    @field_validator("prefix")
    @classmethod
    def _not_theirs(cls, value: str) -> str:
        if "AWSLogs" in value:
            raise ValueError("must not contain AWSLogs, which Elastic Load Balancing adds itself")
        return value

    def logs(self) -> AccessLogs:
        """As the domain knows it."""
        return AccessLogs(self.bucket, self.prefix)


class AlbBody(Strict):
    """An Application Load Balancer: one that AutoStop makes, or with `existing_arn` one that is yours."""

    kind: Literal["alb"]
    name: Name
    region: Region
    scheme: Literal["internal", "internet-facing"]
    vpc_id: Annotated[str, VPC]
    subnet_ids: Annotated[list[Annotated[str, SUBNET]], AfterValidator(distinct)] = Field(default=[], max_length=16)
    security_group_ids: Annotated[list[Annotated[str, GROUP]], AfterValidator(distinct)] = Field(
        default=[], max_length=5
    )
    certificate_arn: CertificateArn | None = None
    domain: Host
    hosted_zone_id: ZoneId | None = None
    existing_arn: AlbArn | None = None
    theme: ThemeBody = ThemeBody()
    access_logs: AccessLogsBody | None = None

    def settings(self) -> AlbSettings:
        """What is an ALB's own, as the domain knows it."""
        return AlbSettings(
            self.scheme,
            self.domain,
            self.certificate_arn,
            self.hosted_zone_id,
            self.existing_arn,
            self.theme.theme(),
            self.access_logs.logs() if self.access_logs else None,
        )
