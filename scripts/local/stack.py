"""The real Lambda package, made by Chalice and deployed into the embedded cloud by CloudFormation."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts import base_stack, beyond_chalice
from scripts.deployment import sources
from scripts.local.cloud import REGION

if TYPE_CHECKING:
    from scripts.local.cloud import Cloud

ROOT = Path(__file__).parent.parent.parent
BUILD = ROOT / ".build"
STAGE = "local"
BUCKET = "autostop-code"


@dataclass(frozen=True, slots=True)
class Deployed:
    """What is there after the deploy.

    `variables` of the functions name what the base stack made; `functions` maps tick, reconcile, discover … to their
    physical names.
    """

    api_url: str
    variables: dict[str, str]
    functions: dict[str, str]


def package() -> Path:
    """`chalice package`, unless nothing changed since the last; answers the folder with sam.json and the zip."""
    merged = json.dumps(beyond_chalice.merged(STAGE))
    files = [*sources.of_the_package(ROOT), ROOT / ".chalice" / "config.json"]
    digest = sources.digest(ROOT, files, merged)
    target = BUILD / digest[:16]
    if (target / "sam.json").exists():
        return target
    merge = BUILD / "merge.json"
    BUILD.mkdir(exist_ok=True)
    merge.write_text(merged)
    chalice = str(ROOT / ".venv" / "bin" / "chalice")
    done = subprocess.run(
        [chalice, "package", "--stage", STAGE, "--merge-template", str(merge), str(target)],
        cwd=_source(),
        env=os.environ | {"AWS_DEFAULT_REGION": REGION, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"chalice package failed (is PyPI reachable?):\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
    return target


def _source() -> Path:
    """The sources alone, in a folder of their own, which keeps what Chalice has built of the requirements.

    Chalice packs all that lies in chalicelib: the bytecode of this machine is 0.9 MB that Lambda would not even use.
    """
    source = BUILD / "source"
    shutil.rmtree(source / "chalicelib", ignore_errors=True)
    shutil.copytree(ROOT / "chalicelib", source / "chalicelib", ignore=shutil.ignore_patterns("__pycache__"))
    (source / ".chalice").mkdir(exist_ok=True)
    for file in (ROOT / "app.py", ROOT / "requirements.txt", *(ROOT / ".chalice").glob("*.json")):
        shutil.copyfile(file, source / file.relative_to(ROOT))
    return source


def deploy(cloud: Cloud) -> Deployed:
    """Base stack, code, app stack."""
    formation = cloud.client("cloudformation")
    s3 = cloud.client("s3")
    s3.create_bucket(Bucket=BUCKET)
    base = _create(cloud, f"autostop-{STAGE}-base", base_stack.template(STAGE, traced=False))
    built = package()
    s3.upload_file(str(built / "deployment.zip"), BUCKET, "deployment.zip")
    template = json.loads((built / "sam.json").read_text())
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = f"s3://{BUCKET}/deployment.zip"
            variables = resource["Properties"]["Environment"]["Variables"]
            variables |= base_stack.variables(base) | {"AWS_ENDPOINT_URL": cloud.url}
    _create(cloud, f"autostop-{STAGE}", template)
    found = formation.describe_stack_resources(StackName=f"autostop-{STAGE}")["StackResources"]
    physical = {resource["LogicalResourceId"]: resource["PhysicalResourceId"] for resource in found}
    names = {
        "tick": "Tick",
        "reconcile": "Reconcile",
        "discover": "Discover",
        "ec2_state": "Ec2State",
        "rds_state": "RdsState",
        "proxy_logs": "ProxyLogs",
        "warm_up": "WarmUp",
    }
    api_url = f"{cloud.url}/restapis/{physical['RestAPI']}/api/_user_request_"
    return Deployed(api_url, base_stack.variables(base), {name: physical[logical] for name, logical in names.items()})


def _create(cloud: Cloud, name: str, template: dict[str, Any]) -> dict[str, str]:
    """Through S3: CloudFormation takes 51,200 bytes in the request itself, 1 MB from there.

    https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html
    """
    formation, file = cloud.client("cloudformation"), f"{name}.json"
    cloud.client("s3").put_object(Bucket=BUCKET, Key=file, Body=json.dumps(template).encode())
    url = f"{cloud.url}/{BUCKET}/{file}"
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    formation.create_stack(StackName=name, TemplateURL=url, Capabilities=capabilities)
    formation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    stack = formation.describe_stacks(StackName=name)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
