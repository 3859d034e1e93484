"""Say in words why a WebSocket could not be opened, or was closed."""

from __future__ import annotations

import socket
import ssl

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, ProxyError

from network.http_client import NetworkError, explain_refusal

MAX_MESSAGE_BYTES = 16 * 2**20
"""The largest message that is accepted. Coinbase's first one has 5 MB."""


def explain_handshake(host: str, error: Exception, open_s: float) -> NetworkError:
    """Return the error, in words, of a connection that could not be opened."""
    if isinstance(error, InvalidStatus) and error.response.status_code != 200:
        return explain_refusal(host, error.response.status_code, error.response.headers.raw_items())
    details = ""  # what others say, a proxy among them: not for a log
    match error:
        case InvalidStatus():
            words = f"{host} is no WebSocket: it answered with an ordinary web page (HTTP 200)"
        case TimeoutError():
            words = f"{host} did not answer within {open_s:g} s"
        case ConnectionRefusedError():
            words = f"{host} refused the connection: nothing listens there"
        case ssl.SSLCertVerificationError():
            words = f"{host} cannot prove who it is, so it is not trusted: {error.verify_message}"
        case ssl.SSLError():
            words = f"{host} does not speak TLS there ({error.reason}): a plain server is reached by ws://"
        case socket.gaierror():
            words = f"the name in {host} is not known: check the address and the network"
        case ProxyError() | ImportError():
            words = f"the proxy of this machine did not let {host} through"
            details = f": {error}"
        case InvalidHandshake() | EOFError():
            words = f"{host} is no WebSocket"
            details = f": {error.__cause__ or error}"
        case _:
            words = f"{host} cannot be reached"
            details = f": {error}"
    return NetworkError(words + details, log_text=words)


def explain_close(host: str, closed: ConnectionClosed) -> NetworkError:
    """Return the error, in words, of a connection that was closed: by whom and why."""
    if closed.sent is not None and not closed.rcvd_then_sent:
        if closed.sent.code == 1009:
            return NetworkError(f"{host} sent a message above {MAX_MESSAGE_BYTES >> 20} MiB, which is refused")
        words = f"{host} broke the WebSocket protocol"
        return NetworkError(
            f"{words}: {closed.sent.reason or closed.sent.code}", log_text=f"{words} (code {closed.sent.code})"
        )
    if closed.rcvd is not None:
        words = f"{host} closed the connection (code {closed.rcvd.code}"
        reason = f", {closed.rcvd.reason!r}" if closed.rcvd.reason else ""
        return NetworkError(f"{words}{reason})", log_text=f"{words})")
    return NetworkError(f"{host} dropped the connection without a word")
