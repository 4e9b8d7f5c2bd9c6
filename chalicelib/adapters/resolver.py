"""DNS by the system's resolver."""

from __future__ import annotations

import socket

from chalicelib.domain.errors import CloudError

_NONE = frozenset({socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)})


class SystemResolver:
    """Implements Resolver."""

    def addresses(self, name: str) -> frozenset[str]:
        try:
            found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except socket.gaierror as error:
            if error.errno in _NONE:
                return frozenset()
            raise CloudError("DnsFailed", str(error), retryable=True) from error
        except UnicodeError as error:
            raise CloudError("DnsFailed", f"{name} is no name for DNS: {error}") from error
        return frozenset(str(address[0]) for *_, address in found)
