"""The first admin key: without one, nobody could ask the API for any."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from scripts.deployment.steps import Difference

if TYPE_CHECKING:
    from chalicelib.domain.access import ApiKey
    from chalicelib.usecases.manage_api_keys import ManageApiKeys
    from scripts.deployment.stacks import Stack
    from scripts.deployment.stage import Stage
    from scripts.deployment.steps import Say


@dataclass(slots=True)
class FirstKey:
    """A step, done once in a stage's life; `another`: once more, for whoever lost it.

    `token` is the key if this process made it. It is said at once, since nothing stores it.
    """

    stage: Stage
    base: Stack
    another: bool = False
    token: str | None = field(default=None, repr=False)
    name: str = "first admin key"

    def look(self) -> Difference | None:
        if self.token is not None:
            return None
        if self.another:
            return Difference("create", "another one is asked for")
        if self.base.seen().status is None or not self._an_admin_is_known():
            return Difference("create", "no API key of role admin is known")
        return None

    def act(self, say: Say) -> None:
        from chalicelib.domain.access import Role  # noqa: PLC0415  (see _keys)

        self.token = self._keys().create(Role.ADMIN, "first admin key", "bootstrap").token
        say(f"  {self.token}")
        say("  It is shown this once and stored nowhere: keep it in a password manager.")

    def _an_admin_is_known(self) -> bool:
        keys, cursor = self._keys(), None
        while True:
            page = keys.page(100, cursor)
            if any(self._opens_everything(key, keys) for key in page.items):
                return True
            cursor = page.next_cursor
            if cursor is None:
                return False

    @staticmethod
    def _opens_everything(key: ApiKey, keys: ManageApiKeys) -> bool:
        return key.role == "admin" and (key.expires_at is None or key.expires_at > keys.clock.now())

    def _keys(self) -> ManageApiKeys:
        # The models read region and endpoint from the environment as they are imported, so --region has to come first.
        from chalicelib.adapters.aws.system import RandomIds, SystemClock  # noqa: PLC0415
        from chalicelib.adapters.dynamodb.stores import build_stores  # noqa: PLC0415
        from chalicelib.usecases.manage_api_keys import ManageApiKeys  # noqa: PLC0415

        clock = SystemClock()
        stores = build_stores(self.stage.table_prefix, self.stage.region, clock)
        return ManageApiKeys(stores.keys, stores.balancers, stores.events, clock, RandomIds())
