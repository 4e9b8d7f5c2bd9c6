"""The table of commands: each is one call of the API. A test holds it against the routes (tests/unit/cli)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Option:
    """An option that becomes a field of the body, or with `query` a parameter of the query."""

    name: str
    help: str
    kind: type = str
    required: bool = False
    query: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One command.

    `columns`: of the table that a list is shown as. `file`: the body is a JSON file. `read_first`: the ETag of a read
    goes with the write, so that two people cannot overwrite each other unnoticed. `shown`: how the answer is printed.
    """

    group: str | None
    name: str
    method: str
    path: str
    help: str
    options: tuple[Option, ...] = ()
    columns: tuple[str, ...] = ()
    file: bool = False
    read_first: bool = False
    shown: str = "json"

    @property
    def makes(self) -> bool:
        """Whether it makes something that has an id."""
        return self.name == "create"


_REASON = Option("reason", "Why, for the history.")
_MINUTES = Option("minutes", "For how long (default 30).", float)
_RANGE = (Option("from", "From when, RFC 3339.", query=True), Option("to", "Until when, RFC 3339.", query=True))
_EVENTS = ("at", "kind", "subject", "actor", "words")

CALLS = (
    Call(None, "health", "GET", "/health", "Whether the API is alive, and its version."),
    Call(None, "health-deep", "GET", "/health/deep", "How well the stage is."),
    Call(
        "rules", "list", "GET", "/rules", "All rules.", (), ("id", "name", "state", "state_reason", "last_activity_at")
    ),
    Call("rules", "get", "GET", "/rules/{rule_id}", "One rule, with its state."),
    Call("rules", "create", "POST", "/rules", "Create a rule from a JSON file.", file=True),
    Call("rules", "replace", "PUT", "/rules/{rule_id}", "Replace a rule by a JSON file.", file=True, read_first=True),
    Call("rules", "change", "PATCH", "/rules/{rule_id}", "Change what a JSON file names.", file=True, read_first=True),
    Call(
        "rules",
        "delete",
        "DELETE",
        "/rules/{rule_id}",
        "Delete a rule; what it stopped is started.",
        (Option("leave", "`as_is` leaves stopped what is stopped.", query=True),),
    ),
    Call("rules", "warm-up", "POST", "/rules/{rule_id}/warm-up", "Up, whatever schedules say.", (_MINUTES, _REASON)),
    Call(
        "rules",
        "cool-down",
        "POST",
        "/rules/{rule_id}/cool-down",
        "Down now.",
        (
            _MINUTES,
            _REASON,
            Option("force", "Though it is in use.", bool),
            Option("propagate", "With the rules that need it.", bool),
        ),
    ),
    Call("rules", "release", "POST", "/rules/{rule_id}/release", "End a warm-up or a cool-down."),
    Call("rules", "heartbeat", "POST", "/rules/{rule_id}/heartbeat", "Say that a job runs: no stop for a while."),
    Call("rules", "explain", "GET", "/rules/{rule_id}/explain", "What is decided now, and why.", shown="explanation"),
    Call(
        "rules",
        "activity",
        "GET",
        "/rules/{rule_id}/activity",
        "What was counted, minute by minute.",
        _RANGE,
        ("minute", "source", "requests", "connections", "open", "bytes_in", "bytes_out"),
    ),
    Call("rules", "events", "GET", "/rules/{rule_id}/events", "The history of a rule.", _RANGE, _EVENTS),
    Call("rules", "savings", "GET", "/rules/{rule_id}/savings", "What a rule saved, by day.", _RANGE),
    Call(
        "schedules", "list", "GET", "/schedules", "All schedules.", (), ("id", "name", "kind", "time_zone", "priority")
    ),
    Call("schedules", "get", "GET", "/schedules/{schedule_id}", "One schedule."),
    Call("schedules", "create", "POST", "/schedules", "Create a schedule from a JSON file.", file=True),
    Call(
        "schedules",
        "replace",
        "PUT",
        "/schedules/{schedule_id}",
        "Replace a schedule by a JSON file.",
        file=True,
        read_first=True,
    ),
    Call("schedules", "delete", "DELETE", "/schedules/{schedule_id}", "Delete a schedule."),
    Call(
        "load-balancers",
        "list",
        "GET",
        "/load-balancers",
        "All load balancers.",
        (),
        ("id", "kind", "name", "region", "status", "status_reason"),
    ),
    Call("load-balancers", "get", "GET", "/load-balancers/{load_balancer_id}", "One load balancer, with its warnings."),
    Call("load-balancers", "create", "POST", "/load-balancers", "Create a load balancer from a JSON file.", file=True),
    Call(
        "load-balancers",
        "replace",
        "PUT",
        "/load-balancers/{load_balancer_id}",
        "Replace a load balancer by a JSON file.",
        file=True,
        read_first=True,
    ),
    Call("load-balancers", "delete", "DELETE", "/load-balancers/{load_balancer_id}", "Delete a load balancer."),
    Call(
        "load-balancers",
        "check-dns",
        "POST",
        "/load-balancers/{load_balancer_id}/check-dns",
        "Whether names lead to an ALB.",
    ),
    Call(
        "load-balancers",
        "renew-key",
        "POST",
        "/load-balancers/{load_balancer_id}/renew-key",
        "Renew the key of a proxy that AutoStop made.",
    ),
    Call(
        "load-balancers",
        "install",
        "GET",
        "/load-balancers/{load_balancer_id}/install",
        "The script that installs the proxy on a VM.",
        shown="text",
    ),
    Call("api-keys", "list", "GET", "/api-keys", "All API keys.", (), ("id", "role", "name", "expires_at")),
    Call(
        "api-keys",
        "create",
        "POST",
        "/api-keys",
        "Create an API key; its secret is shown once.",
        (
            Option("role", "admin, operator, viewer or proxy.", required=True),
            Option("name", "What it is for."),
            Option("expires-at", "Until when it is good, RFC 3339."),
            Option("load-balancer-id", "Whose proxy it is for, for the role proxy."),
        ),
    ),
    Call("api-keys", "delete", "DELETE", "/api-keys/{key_id}", "Delete an API key."),
    Call("account", "get", "GET", "/account", "The switches of the whole account."),
    Call(
        "account",
        "replace",
        "PUT",
        "/account",
        "Pause all stops, or limit them: a JSON file.",
        file=True,
        read_first=True,
    ),
    Call(None, "events", "GET", "/events", "The history of the whole account.", _RANGE, _EVENTS),
    Call(None, "savings", "GET", "/savings", "What the whole account saved, by day.", _RANGE),
)
