"""What a deploy leaves in the account for the next one: Chalice's own file, the stage's section, what was deployed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from scripts.deployment.errors import DeploymentError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mypy_boto3_s3 import S3Client

DEPLOYED = "chalice-deployed.json"
SECTION = "stage.json"
RECORD = "deploy.json"
_MISSING = frozenset({"NoSuchKey", "NoSuchBucket", "404"})


@dataclass(frozen=True, slots=True)
class Record:
    """What the last deploy that came to its end deployed.

    `fingerprint` is of the sources and settings, `code` the CodeSha256 that Lambda then had of each function.
    """

    version: str
    fingerprint: str
    code: dict[str, str]
    at: str


@dataclass(frozen=True, slots=True)
class Kept:
    """The objects of the stage's state bucket. Every version of them stays for 90 days."""

    s3: S3Client
    bucket: str

    def deployed(self) -> dict[str, Any] | None:
        """Chalice's `.chalice/deployed/STAGE.json`."""
        return self._get(DEPLOYED)

    def section(self) -> dict[str, Any] | None:
        """The stage's section of `.chalice/config.json`."""
        return self._get(SECTION)

    def record(self) -> Record | None:
        """Of the last deploy."""
        found = self._get(RECORD)
        if found is None:
            return None
        return Record(found["version"], found["fingerprint"], dict(found["code"]), found["at"])

    def put_deployed(self, deployed: Mapping[str, Any]) -> None:
        """Keep it."""
        self._put(DEPLOYED, deployed)

    def put_section(self, section: Mapping[str, Any]) -> None:
        """Keep it."""
        self._put(SECTION, section)

    def put_record(self, record: Record) -> None:
        """Keep it."""
        self._put(RECORD, asdict(record))

    def _get(self, key: str) -> dict[str, Any] | None:
        try:
            body = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _MISSING:
                return None
            raise
        try:
            found: dict[str, Any] = json.loads(body)
        except ValueError as error:
            raise DeploymentError(
                f"s3://{self.bucket}/{key} is not JSON; restore an earlier version of it, or delete it: {error}"
            ) from error
        return found

    def _put(self, key: str, content: Mapping[str, Any]) -> None:
        body = json.dumps(content, indent=2, sort_keys=True).encode()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body, ContentType="application/json")
