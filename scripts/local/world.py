"""Setting the demo up: cloud, app, instances, proxy, rules; and taking it all down."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import TYPE_CHECKING, Any

import asyncssh
import httpx

from scripts.local import cloud as clouds
from scripts.local import stack
from scripts.local.certificates import StoredPair
from scripts.local.names import DATABASE, FLOW_WINDOW, SECURE_HOST, SITE_PORT
from scripts.local.private import Secrets
from scripts.local.processes import Processes, python
from scripts.local.rules import rules_of
from scripts.local.sockets import can_bind, listens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROOT = stack.ROOT


@dataclass(slots=True)
class World:
    """Everything that runs, and where it is."""

    home: Path
    idle_seconds: float
    boot_seconds: float
    tick_seconds: float
    say: Callable[[str], None]
    processes: Processes = field(init=False)
    cloud: clouds.Cloud = field(init=False)
    deployed: stack.Deployed = field(init=False)
    admin_key: str = ""
    instances: dict[str, dict[str, str]] = field(default_factory=dict)
    rules: dict[str, dict[str, Any]] = field(default_factory=dict)
    balancer: dict[str, Any] = field(default_factory=dict)
    proxy_address: str = ""
    site_listen: int = 0
    secure_listen: int = 0
    ssh_port: int = 22
    database_port: int = 0
    interface: dict[str, str] = field(default_factory=dict)
    secrets: Secrets = field(init=False)
    certificate: StoredPair = field(init=False)
    _stopping: threading.Event = field(default_factory=threading.Event)

    def set_up(self) -> None:
        """Bring everything up, saying what is being done."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True)
        self.processes = Processes(self.home / "logs")
        self.secrets = Secrets.make(ROOT)
        block = clouds.block()
        self.proxy_address = f"{block}.200"
        self.site_listen = clouds.free_port(self.proxy_address)
        self.secure_listen = clouds.free_port(self.proxy_address)
        self.ssh_port = 22 if can_bind(f"{block}.12", 22) else 2222
        self.say("starting the embedded cloud (MiniStack, IAM enforced) ...")
        self.cloud = clouds.start(self.processes, self.home)
        self.say("packaging with Chalice and deploying with CloudFormation ...")
        self.deployed = stack.deploy(self.cloud)
        self.say("making the first admin key, instances, the proxy and the rules ...")
        self.admin_key = self._first_key()
        self._make_instances(block)
        self._make_database()
        self._start_fleet()
        self._make_proxy()
        self._start_proxy()
        self._make_rules()
        self._wait_for_listeners()
        threading.Thread(target=self._tick_for_ever, daemon=True).start()
        self._write_env()

    def end(self) -> None:
        """End everything; the logs stay."""
        self._stopping.set()
        if hasattr(self, "processes"):
            self.processes.end()
        if hasattr(self, "secrets"):
            self.secrets.end()
        for file in ("env.json", "id_demo", "pgpass"):
            (self.home / file).unlink(missing_ok=True)
        shutil.rmtree(self.home / "tmp", ignore_errors=True)
        shutil.rmtree(self.home / "run", ignore_errors=True)

    def call(self, method: str, path: str, body: object = None, key: str | None = None) -> Any:  # noqa: ANN401
        """One call of the API as admin; answers the JSON. Raises RuntimeError for a refusal."""
        headers = {"Authorization": f"Bearer {key or self.admin_key}"}
        answer = httpx.request(method, self.deployed.api_url + path, json=body, headers=headers, timeout=30)
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            raise RuntimeError(f"{method} {path}: {answer.status_code} {answer.text[:500]}")
        return answer.json() if answer.content else None

    @property
    def cacert(self) -> Path:
        """The certificate of the demo's own authority."""
        return self.home / "ca.pem"

    @property
    def secure_url(self) -> str:
        """The site over TLS. No resolver knows the name: clients are told the address."""
        return f"https://{SECURE_HOST}:{self.secure_listen}/"

    @property
    def database_password(self) -> str:
        """Of the user demo."""
        return (self.secrets.path / "db_password").read_text()

    def rule(self, name: str) -> dict[str, Any]:
        """A rule as the API answers it now."""
        found: dict[str, Any] = self.call("GET", f"/rules/{self.rules[name]['id']}")
        return found

    def accepted_at(self, name: str) -> list[float]:
        """When the guest of this instance began to accept, each time."""
        journal = self.home / "logs" / "fleet.log"
        lines = [json.loads(line) for line in journal.read_text().splitlines() if line.startswith("{")]
        id_ = DATABASE if name == DATABASE else self.instances[name]["id"]
        return [line["at"] for line in lines if line["instance"] == id_ and line["event"] == "accepts"]

    def instance_state(self, name: str) -> str:
        """What the emulated EC2 says."""
        answer = self.cloud.client("ec2").describe_instances(InstanceIds=[self.instances[name]["id"]])
        state: str = answer["Reservations"][0]["Instances"][0]["State"]["Name"]
        return state

    @contextmanager
    def unsubscribed(self) -> Iterator[None]:
        """Take the subscription of the proxies' log group away, and put it back."""
        logs, group = self.cloud.client("logs"), f"/autostop/{stack.STAGE}/proxy"
        (found,) = logs.describe_subscription_filters(logGroupName=group)["subscriptionFilters"]
        kept = {name: found[name] for name in ("logGroupName", "filterName", "filterPattern", "destinationArn")}
        logs.delete_subscription_filter(logGroupName=group, filterName=found["filterName"])
        try:
            yield
        finally:
            logs.put_subscription_filter(**kept)

    # Steps

    def _first_key(self) -> str:
        """Straight into the table, as `scripts/bootstrap` does in an account: there is no key yet to ask with."""
        os.environ |= clouds.CREDENTIALS | {
            "AWS_ENDPOINT_URL": self.cloud.url,
            "AWS_REGION": clouds.REGION,
            "AUTOSTOP_STAGE": stack.STAGE,
            "AUTOSTOP_TABLE_PREFIX": f"autostop-{stack.STAGE}-",
            **self.deployed.variables,
            "AUTOSTOP_PROXY_LOG_GROUP": f"/autostop/{stack.STAGE}/proxy",
        }
        from chalicelib.bootstrap import api_handler  # noqa: PLC0415  (its models read the environment that was just set)

        return api_handler.create_first_admin_key("demo")

    def _make_instances(self, block: str) -> None:
        ec2 = self.cloud.client("ec2")
        guests = {"site": f"{block}.11", "shell": f"{block}.12", "jump": f"{block}.13", "proxy": self.proxy_address}
        for name, address in guests.items():
            tags = [{"Key": "Name", "Value": name}]
            if name == "proxy":
                tags.append({"Key": "autostop:proxy", "Value": "demo"})
            made = ec2.run_instances(
                ImageId="ami-12345678",
                MinCount=1,
                MaxCount=1,
                PrivateIpAddress=address,
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )["Instances"][0]
            self.instances[name] = {"id": made["InstanceId"], "private_ip": made["PrivateIpAddress"]}
            if made["PrivateIpAddress"] != address:
                raise RuntimeError(f"the emulator gave {name} the address {made['PrivateIpAddress']}, not {address}")
        self._make_interface(ec2)
        ec2.stop_instances(InstanceIds=[self.instances[name]["id"] for name in ("site", "shell", "jump")])

    def _make_interface(self, ec2: Any) -> None:  # noqa: ANN401
        """The emulator's instances have none of their own; its address cannot be chosen."""
        made = ec2.create_network_interface(SubnetId="subnet-00000001")["NetworkInterface"]
        self.interface = {"interface": made["NetworkInterfaceId"], "interface_address": made["PrivateIpAddress"]}
        ec2.attach_network_interface(
            NetworkInterfaceId=made["NetworkInterfaceId"], InstanceId=self.instances["jump"]["id"], DeviceIndex=1
        )

    def _make_database(self) -> None:
        """The emulator's endpoints are all on its own address; the port is the database's."""
        self.secrets.put("db_password", token_urlsafe(24))
        self.database_port = clouds.free_port()
        rds = self.cloud.client("rds")
        made = rds.create_db_instance(
            DBInstanceIdentifier=DATABASE,
            DBInstanceClass="db.t4g.micro",
            Engine="postgres",
            AllocatedStorage=20,
            MasterUsername="demo",
            MasterUserPassword=self.database_password,
            Port=self.database_port,
        )["DBInstance"]
        if made["Endpoint"]["Address"] != "127.0.0.1":
            raise RuntimeError(f"the emulator gave the database the address {made['Endpoint']['Address']}")
        rds.stop_db_instance(DBInstanceIdentifier=DATABASE)

    def _start_fleet(self) -> None:
        key, host_key = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
        authorized = self.home / "authorized"
        key.write_public_key(str(authorized))
        host_key_file = self.secrets.put("host_key", host_key.export_private_key().decode())
        (self.home / "id_demo").symlink_to(self.secrets.put("id_demo", key.export_private_key().decode()))
        guests = {
            self.instances["site"]["id"]: self._guest("site", SITE_PORT),
            self.instances["shell"]["id"]: self._guest("shell", self.ssh_port),
            self.instances["jump"]["id"]: self._guest("jump", self.ssh_port) | self.interface,
        }
        settings = {
            "aws_endpoint_url": self.cloud.url,
            "boot_seconds": self.boot_seconds,
            "guests": guests,
            "ec2_state": self.deployed.functions["ec2_state"],
            "rds_state": self.deployed.functions["rds_state"],
            "flow_log_group": f"/autostop/{stack.STAGE}/flow",
            "flow_log_window": FLOW_WINDOW,
            "databases": [
                {
                    "name": DATABASE,
                    "address": "127.0.0.1",
                    "port": self.database_port,
                    "password_file": str(self.secrets.path / "db_password"),
                }
            ],
            "authorized": str(authorized),
            "host_key": str(host_key_file),
        }
        file = self.home / "fleet.json"
        file.write_text(json.dumps(settings))
        self.processes.start("fleet", [python(), "-m", "scripts.local.fleet", str(file)], self._env())

    def _guest(self, name: str, port: int) -> dict[str, Any]:
        return {"kind": name, "address": self.instances[name]["private_ip"], "port": port}

    def _make_proxy(self) -> None:
        self.certificate = StoredPair(self.cloud, SECURE_HOST)
        certificates = [self.certificate.store()]
        self.cacert.write_text(self.certificate.authority.certificate)
        self.balancer = self.call(
            "POST",
            "/load-balancers",
            {
                "kind": "proxy",
                "name": "demo proxy",
                "region": clouds.REGION,
                "vpc_id": "vpc-00000001",
                "subnet_ids": ["subnet-00000001"],
                "security_group_ids": ["sg-00000001"],
                "existing": True,
                "certificates": certificates,
            },
        )
        body = {"role": "proxy", "name": "demo proxy", "load_balancer_id": self.balancer["id"]}
        self.secrets.put("proxy.key", self.call("POST", "/api-keys", body)["token"])

    def _start_proxy(self) -> None:
        run = self.home / "run"
        run.mkdir()
        settings = {
            "api_url": self.deployed.api_url,
            "load_balancer_id": self.balancer["id"],
            "member": self.instances["proxy"]["id"],
            "key_file": str(self.secrets.path / "proxy.key"),
            "region": clouds.REGION,
            "log_group": f"/autostop/{stack.STAGE}/proxy",
            "run_dir": str(run),
            "state_dir": str(self.home / "state"),
            "bind_address": self.proxy_address,
            "poll_seconds": 2,
            "heartbeat_seconds": 5,
            "periodic_seconds": 5,
            "tls_dir": str(self.secrets.path / "tls"),
            "secret_seconds": 2,
        }
        file = self.home / "agent.json"
        file.write_text(json.dumps(settings))
        agent = [python(), "-m", "chalicelib.agent", "--config", str(file)]
        made = subprocess.run([*agent, "--bootstrap"], cwd=ROOT, capture_output=True, text=True, check=True)
        self.processes.start("agent", agent, self._env())
        envoy = str(ROOT / ".venv" / "bin" / "envoy")
        deadline = time.monotonic() + 10
        while not (run / "xds" / "lds" / "lds.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.processes.start("envoy", [envoy, *json.loads(made.stdout)], self._env())

    def _make_rules(self) -> None:
        for rule in rules_of(self):
            self.rules[str(rule["name"])] = self.call("POST", "/rules", rule)

    def _wait_for_listeners(self) -> None:
        """The proxy has polled the rules, and Envoy listens for them."""
        (shell,), (database,) = (self.rules[name]["listen"].values() for name in ("shell", DATABASE))
        deadline = time.monotonic() + 30
        for port in (self.site_listen, self.secure_listen, shell, database):
            while not listens(self.proxy_address, port):
                self.processes.check()
                if time.monotonic() > deadline:
                    raise RuntimeError(f"Envoy does not listen on port {port}; see {self.home / 'logs' / 'agent.log'}")
                time.sleep(0.1)

    def _tick_for_ever(self) -> None:
        """The emulated schedule comes each minute; the demo's waits are shorter, so it sends ticks of its own."""
        client = self.cloud.client("lambda")
        event = {
            "version": "0",
            "id": "demo",
            "source": "aws.events",
            "detail-type": "Scheduled Event",
            "account": "000000000000",
            "region": clouds.REGION,
            "time": "2026-01-01T00:00:00Z",
            "resources": [],
            "detail": {},
        }
        while not self._stopping.wait(self.tick_seconds):
            try:
                client.invoke(
                    FunctionName=self.deployed.functions["tick"],
                    InvocationType="Event",
                    Payload=json.dumps(event).encode(),
                )
            except (OSError, client.exceptions.ClientError) as error:
                if not self._stopping.is_set():
                    self.say(f"a tick was lost: {error}")

    def _write_env(self) -> None:
        env = {
            "api_url": self.deployed.api_url,
            "dashboard_url": f"{self.deployed.api_url}/ui/",
            "admin_key": self.admin_key,
            "aws_endpoint_url": self.cloud.url,
            "region": clouds.REGION,
            "proxy": {"id": self.balancer["id"], "address": self.proxy_address},
            "https": {"host": SECURE_HOST, "port": self.secure_listen, "cacert": str(self.cacert)},
            "instances": {name: self.instances[name] for name in ("site", "shell", "jump")},
            "rules": {
                name: {
                    "id": rule["id"],
                    "listen": rule["listen"] or ({str(SITE_PORT): self.site_listen} if rule["http"] else {}),
                    "hosts": [host for http in rule["http"] for host in http["hosts"]],
                }
                for name, rule in self.rules.items()
            },
        }
        file = self.home / "env.json"
        file.touch(mode=0o600)
        file.write_text(json.dumps(env, indent=2))

    def _env(self) -> dict[str, str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AUTOSTOP_"))}
        return clean | clouds.CREDENTIALS | {"AWS_ENDPOINT_URL": self.cloud.url, "PYTHONPATH": str(ROOT)}
