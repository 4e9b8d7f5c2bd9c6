"""The body of a load balancer."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from chalicelib.domain.certificates import Certificate
from chalicelib.entrypoints.api.models import Name, Port, Region, Strict, matches
from chalicelib.entrypoints.api.route_models import Cidr, Host, distinct

# https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html (Name)
SecretArn = Annotated[
    str,
    matches(
        r"arn:aws[a-z-]*:secretsmanager:[a-z]{2}(-[a-z]+)+-\d:\d{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}",
        "the ARN of a secret such as arn:aws:secretsmanager:us-east-1:123456789012:secret:tls/app-AbCdEf",
    ),
]


def _not_everyone(cidr: str) -> str:
    if cidr.endswith("/0"):
        raise ValueError("is everyone; name the balancer's own subnets or addresses")
    return cidr


class CertificateBody(Strict):
    """A certificate and its key, each a secret in PEM; they may be one and the same secret."""

    hosts: Annotated[list[Host], AfterValidator(distinct)] = Field(min_length=1, max_length=20)
    certificate_secret_arn: SecretArn
    private_key_secret_arn: SecretArn

    def certificate(self) -> Certificate:
        """The certificate as the domain knows it."""
        return Certificate(tuple(self.hosts), self.certificate_secret_arn, self.private_key_secret_arn)


def _known(kind: object) -> object:
    if kind != "proxy":
        raise ValueError("is not proxy or alb")
    return kind


class LoadBalancerBody(Strict):
    """A proxy, on a VM that AutoStop makes or on one of the user's own."""

    kind: Annotated[Literal["proxy"], BeforeValidator(_known)]
    name: Name
    region: Region
    vpc_id: Annotated[str, matches(r"vpc-[0-9a-f]{1,17}", "a VPC id")]
    subnet_ids: list[Annotated[str, matches(r"subnet-[0-9a-f]{1,17}", "a subnet id")]] = Field(max_length=16)
    security_group_ids: list[Annotated[str, matches(r"sg-[0-9a-f]{1,17}", "a security group id")]] = Field(
        max_length=16
    )
    machine_type: Annotated[str, matches(r"[a-z0-9-]+\.[a-z0-9-]+", "an instance type")] = "t3.micro"
    key_pair: Annotated[str, Field(max_length=255)] | None = None
    encrypted_volume: bool = True
    static_ip: bool = False
    api_key_secret_arn: SecretArn | None = None
    certificates: list[CertificateBody] = Field(default=[], max_length=50)
    balancer_cidrs: Annotated[list[Annotated[Cidr, AfterValidator(_not_everyone)]], AfterValidator(distinct)] = Field(
        default=[], max_length=50
    )
    port_range: list[Port] = Field(default=[20000, 29999], min_length=2, max_length=2)
    existing: bool = False
    open_ports: bool = False
    api_key_days: int | None = Field(default=None, ge=1, le=3650)

    @field_validator("certificates")
    @classmethod
    def _each_host_once(cls, value: list[CertificateBody]) -> list[CertificateBody]:
        hosts = [host for certificate in value for host in certificate.hosts]
        twice = sorted({host for host in hosts if hosts.count(host) > 1})
        if twice:
            raise ValueError(f"has {', '.join(twice)} in two certificates")
        return value
