"""Which hosts are this machine."""

from __future__ import annotations

import pytest

from network.http_client import is_loopback

HERE = ("localhost", "LOCALHOST", "127.0.0.1", "127.0.0.2", "127.255.255.254", "::1", "0:0:0:0:0:0:0:1")
MAPPED = ("::ffff:127.0.0.1", "::ffff:7f00:1")
ELSEWHERE = ("", "example.org", "localhost.example.org", "126.0.0.1", "128.0.0.1", "127.1", "::2", "::")
MAPPED_ELSEWHERE = ("::ffff:10.0.0.1", "::ffff:8.8.8.8")


@pytest.mark.parametrize("host", [*HERE, *MAPPED])
def test_loopback_hosts_are_this_machine(host: str) -> None:
    """The name, the whole block 127.0.0.0/8, ::1 in any spelling, and IPv4 addresses written as IPv6."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", [*ELSEWHERE, *MAPPED_ELSEWHERE])
def test_other_hosts_are_not_this_machine(host: str) -> None:
    """A name that only begins like it, neighbours of the block, and what is no address."""
    assert not is_loopback(host)
