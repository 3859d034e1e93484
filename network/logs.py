"""What a log may say of a failure, and where a command writes its log.

A log never repeats text that comes from elsewhere: no frame, no answer of a server, no proxy's address, and of an
address the host alone. The modules of this project only make records; a command calls configure_logging() in its
main(). The page configures nothing, so Python prints warnings and errors to stderr there, and nothing else.
"""

from __future__ import annotations

import logging
import re

from feeds import FeedError
from network.http_client import NetworkError

FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"

LOGGING_ROOMS = (
    "__main__",
    "backtest",
    "backtesting",
    "network",
    "recording",
    "replay",
    "sessions",
    "websocket_client",
)
"""The loggers that verbose applies to. Other libraries stay at WARNING: at DEBUG they repeat frames and headers."""

_CATEGORY = re.compile(r"[^:'\"0-9]*")
"""The beginning of a feed's sentence, up to its first number or quotation."""


def configure_logging(verbose: bool) -> None:
    """Write warnings and errors to stderr; verbose: also what is opened, closed, begun and finished."""
    logging.basicConfig(format=FORMAT, level=logging.WARNING)
    if verbose:
        for room in LOGGING_ROOMS:
            logging.getLogger(room).setLevel(logging.INFO)


def loggable_reason(error: NetworkError | FeedError, host: str) -> str:
    """Return why a connection ended, without text that comes from elsewhere.

    >>> loggable_reason(FeedError("gap: prevSeqId 7 after seqId 3"), "h")
    'h broke the protocol (gap)'
    >>> loggable_reason(NetworkError("h is no WebSocket: <html>", log_text="h is no WebSocket"), "h")
    'h is no WebSocket'
    """
    if isinstance(error, NetworkError):
        return error.log_text
    found = _CATEGORY.match(str(error))
    category = found[0].strip() if found else ""
    return f"{host} broke the protocol ({category or 'no reason given'})"
