"""What this version of AutoStop gives to a VM: the install script, and the user data that fetches it."""

from __future__ import annotations

from chalicelib.web.install.parts import HERE, parts
from chalicelib.web.install.script import InstallSettings, script
from chalicelib.web.install.user_data import UserDataSettings, user_data


def install_script(settings: InstallSettings) -> str:
    """Byte for byte the same until these settings, or AutoStop itself, change."""
    return script(settings, parts())


def boot_script(settings: InstallSettings) -> str:
    """For a VM that is launched; it finds its key in a secret. Raises ValueError where the settings name none."""
    if settings.api_key_secret_arn is None:
        raise ValueError(f"{settings.load_balancer_id} has no key yet.")
    template = (HERE / "user-data.sh").read_text()
    made = UserDataSettings(
        settings.api_url, settings.load_balancer_id, settings.api_key_secret_arn, install_script(settings)
    )
    return user_data(made, template)
