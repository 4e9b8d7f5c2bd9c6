"""Conversations that last: WebSocket (RFC 6455), server-sent events, and HTTP/2 with prior knowledge (RFC 9113)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import ssl
import struct
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.e2e.tools import receive

if TYPE_CHECKING:
    import socket
    from pathlib import Path

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = base64.b64encode(b"sixteen bytes...").decode()
_ACCEPT = base64.b64encode(hashlib.sha1((_KEY + _GUID).encode(), usedforsecurity=False).digest()).decode()
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, PING = 0, 1, 4, 6
END_STREAM, ACK, END_HEADERS = 1, 1, 4


def self_signed(home: Path) -> ssl.SSLContext:
    """A server's context with a certificate that expired long ago and that nobody signed."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    then = datetime.now(UTC) - timedelta(days=400)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(then)
        .not_valid_after(then + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    file = home / "guest.pem"
    file.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(file)
    return context


async def web_socket(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Agrees to the upgrade and echoes each short frame."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    assert "upgrade: websocket" in head
    writer.write(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        f"sec-websocket-accept: {_ACCEPT}\r\n\r\n".encode()
    )
    while True:
        first, length = await reader.readexactly(2)
        mask = await reader.readexactly(4)
        text = bytes(byte ^ mask[n % 4] for n, byte in enumerate(await reader.readexactly(length & 0x7F)))
        writer.write(bytes([first, len(text)]) + text)
        await writer.drain()


class WebSocketClient:
    """One WebSocket to a host behind the proxy."""

    def __init__(self, connection: socket.socket, host: str) -> None:
        self._socket = connection
        connection.sendall(
            f"GET /live HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            f"sec-websocket-version: 13\r\nsec-websocket-key: {_KEY}\r\n\r\n".encode()
        )

    def agreed(self) -> bool:
        """Wait for the answer to the upgrade."""
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            byte = self._socket.recv(1)
            assert byte, head
            head += byte
        text = head.decode()
        return text.startswith("HTTP/1.1 101") and _ACCEPT in text

    def say(self, text: bytes) -> bytes:
        """Send a text frame; answers the echo."""
        mask = b"mask"
        masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(text))
        self._socket.sendall(bytes([0x81, 0x80 | len(text)]) + mask + masked)
        return receive(self._socket, 2 + len(text))[2:]


async def events(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Two server-sent events, three seconds of silence, a third, and the end."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
    for number, pause in enumerate((0.0, 0.1, 3.0)):
        await asyncio.sleep(pause)
        event = f"data: {number}\n\n".encode()
        writer.write(b"%x\r\n%s\r\n" % (len(event), event))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """One HTTP/2 frame."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


async def http2_site(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers every request with 200 and a body; understands nothing but HTTP/2."""
    assert await reader.readexactly(len(PREFACE)) == PREFACE
    writer.write(frame(SETTINGS, 0, 0))
    while True:
        head = await reader.readexactly(9)
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9])
        payload = await reader.readexactly(int.from_bytes(head[:3]))
        if kind in {SETTINGS, PING} and not flags & ACK:
            writer.write(frame(kind, ACK, 0, payload if kind == PING else b""))
        if kind in {HEADERS, DATA} and flags & END_STREAM:
            # 0x88 is `:status: 200` in the static table (RFC 7541, appendix A).
            writer.write(frame(HEADERS, END_HEADERS, stream, b"\x88"))
            writer.write(frame(DATA, END_STREAM, stream, b"in version two"))
        await writer.drain()


def http2_request(connection: socket.socket, host: str, **headers: str) -> bytes:
    """POST with prior knowledge; answers the body."""
    fields = {":method": "POST", ":scheme": "http", ":path": "/", ":authority": host}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    block = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    connection.sendall(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_HEADERS | END_STREAM, 1, block))
    body = b""
    while True:
        head = receive(connection, 9)
        assert len(head) == 9, "closed"
        kind, flags, stream = head[3], head[4], int.from_bytes(head[5:9])
        payload = receive(connection, int.from_bytes(head[:3]))
        if kind == SETTINGS and not flags & ACK:
            connection.sendall(frame(SETTINGS, ACK, 0))
        body += payload if kind == DATA else b""
        if stream == 1 and kind in {HEADERS, DATA} and flags & END_STREAM:
            return body
