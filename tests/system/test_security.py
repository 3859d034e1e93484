"""Check the promises of SECURITY.md: settings, sources without trapdoors, checked certificates, refused addresses."""

from __future__ import annotations

import ast
import asyncio
import socket
import tomllib
import traceback
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from feeds.gomarket import GomarketFeed
from network.connection import MAX_MESSAGE_BYTES, MAX_QUEUED_BYTES, checked_url
from network.http_client import MAX_BODY_BYTES, NetworkError, fetch
from network.status import Status
from tests.support.loopback import (
    DeltaFeed,
    Server,
    encode_text_frame,
    eventually,
    gateway_frame,
    make_self_signed_certificate,
    make_talk,
    raw_server,
    shake_hands,
)
from tests.support.paths import PROJECT, product_files
from websocket_client import WebSocketClient

QUICK: dict[str, Any] = {"min_reconnect_s": 0.02, "backoff_s": 0.01, "max_tries": 1}


def test_page_settings_serve_this_machine_only() -> None:
    """The server is bound to loopback and refuses cross-site requests.

    It reports nothing home, bounds uploads and shows errors without details.
    """
    settings = tomllib.loads((PROJECT / ".streamlit" / "config.toml").read_text())
    server = settings["server"]
    assert server["address"] == "127.0.0.1"
    assert set(server["allowedHosts"]) <= {"localhost", "127.0.0.1", "::1"}
    assert server["enableXsrfProtection"] is True
    assert server.get("enableCORS", True) is True
    assert 0 < server["maxUploadSize"] <= 64
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["client"]["showErrorDetails"] in ("type", "none")


def test_incoming_data_is_bounded() -> None:
    """No message, no queue and no REST body can take the machine's memory."""
    assert MAX_MESSAGE_BYTES <= MAX_QUEUED_BYTES <= 2**26
    assert MAX_BODY_BYTES <= 2**26


BANNED_IMPORTS = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "subprocess", "pty"}
BANNED_CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "tempfile.mktemp"}
BANNED_NAMES = {"CERT_NONE", "CERT_OPTIONAL", "_create_unverified_context", "read_pickle", "to_pickle"}
BANNED_VALUES = {
    "verify": False, "check_hostname": False, "shell": True, "allow_pickle": True, "unsafe_allow_html": True,
}  # fmt: skip

EXCUSED = {"numerics/compile_beside.py": ["subprocess"]}
"""What a module needs of these: this interpreter runs a module of this project, named by the page's own code."""


def find_trapdoors(source: str) -> Iterator[str]:
    """Yield what a source must not contain: data run as code, a shell, unchecked certificates."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names=names):
                yield from (name.name for name in names if name.name.split(".")[0] in BANNED_IMPORTS)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in BANNED_IMPORTS:
                yield module
            case ast.Call(func=called) if ast.unparse(called) in BANNED_CALLS:
                yield ast.unparse(called)
            case ast.Attribute(attr=name) if name in BANNED_NAMES:
                yield name
            case (
                ast.keyword(arg=str(name), value=ast.Constant(value=value))
                | ast.Assign(targets=[ast.Attribute(attr=name)], value=ast.Constant(value=value))
            ) if BANNED_VALUES.get(name, ...) is value:
                yield name


@pytest.mark.parametrize("path", product_files(), ids=lambda path: str(path.relative_to(PROJECT)))
def test_module_has_no_trapdoor(path: Path) -> None:
    """No module has a pickle, an eval, a shell, another program, or a certificate left unchecked; but for one."""
    excused = EXCUSED.get(str(path.relative_to(PROJECT)), [])
    assert list(find_trapdoors(path.read_text())) == excused


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import subprocess",
        "eval(text)",
        "exec(text)",
        "os.system(text)",
        "pd.read_pickle(path)",
        "np.load(path, allow_pickle=True)",
        "ssl._create_unverified_context()",
        "context.verify_mode = ssl.CERT_NONE",
        "context.check_hostname = False",
        "get(url, verify=False)",
        "run(command, shell=True)",
        "st.markdown(text, unsafe_allow_html=True)",
    ],
)
def test_trapdoor_search_finds_each_trapdoor(source: str) -> None:
    """The search finds each trapdoor in one line, and ignores what only looks like one."""
    assert list(find_trapdoors(source))
    assert list(find_trapdoors('re.compile("x"); context.check_hostname = True; model.evaluate(x)')) == []


@pytest.mark.parametrize(
    "url",
    ["http://host/", "https://host/", "file:///etc/passwd", "javascript:alert(1)", "WS//host", "//host", "host:80", " ws://host",
     "ws://host/\nHost: evil", "ws://", "wss:///path", "ws://user@host/", "wss://user:secret@host/"],
)  # fmt: skip
def test_address_of_other_scheme_or_with_password_is_refused(url: str) -> None:
    """ValueError explains it in a sentence that never repeats a password."""
    with pytest.raises(ValueError, match="address") as refused:
        checked_url(url)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:8765", "wss://ws.okx.com/ws/v5/public", "ws://[::1]:1/x?y=z"])
def test_ordinary_address_is_accepted_unchanged(url: str) -> None:
    """The address stays as it was typed."""
    assert checked_url(url) == url


def run_until_book_or_given_up(client: WebSocketClient) -> Status:
    """Run the client until it has a book or has given up; return its status then."""
    client.start()
    eventually(lambda: client.status.books or client.status.state == "given up", 20)
    status = client.status
    client.stop()
    assert client.join(10)
    return status


def gateway() -> GomarketFeed:
    return GomarketFeed("gomarket-okx", "BTC-USDT-SWAP", 0.01)


@pytest.mark.parametrize("trusted", [False, True])
def test_self_signed_certificate_is_refused_unless_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """A self-signed server is refused with a reason and gets no handshake; once trusted, it serves."""
    certificate, context = make_self_signed_certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    handshakes: list[bytes] = []

    def talk(peer: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(peer, server_side=True) as tls_peer:
            shake_hands(tls_peer)
            handshakes.append(b"a handshake")
            tls_peer.sendall(encode_text_frame(gateway_frame(100.0)))
            tls_peer.recv(1)

    with raw_server(talk) as port:
        status = run_until_book_or_given_up(
            WebSocketClient(f"wss://127.0.0.1:{port}/", gateway, lambda _book: None, **QUICK)
        )
    if trusted:
        assert (status.books, status.last_error) == (1, None)
    else:
        assert "cannot prove who it is, so it is not trusted: self-signed certificate" in str(status.last_error)
        assert handshakes == []


def test_certificate_for_another_name_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that is trusted, but not for the name in the address, proves nothing."""
    certificate, context = make_self_signed_certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    def talk(peer: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(peer, server_side=True) as tls_peer:
            tls_peer.recv(1)

    with raw_server(talk) as port:
        status = run_until_book_or_given_up(
            WebSocketClient(f"wss://localhost:{port}/", gateway, lambda _book: None, **QUICK)
        )
    assert "cannot prove who it is" in str(status.last_error)


@pytest.mark.parametrize("trusted", [False, True])
def test_certificate_of_rest_snapshot_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    """REST from a self-signed server is refused with a reason; once the certificate is trusted, it is used."""
    certificate, context = make_self_signed_certificate(tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    clients: list[WebSocketClient] = []

    def talk(peer: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(peer, server_side=True) as tls_peer:
            tls_peer.recv(4096)
            eventually(lambda: clients[0].status.ignored)  # a snapshot is of the steps that came before it
            tls_peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n1")

    with raw_server(talk) as port, Server(make_talk("step 1")) as server:
        url = f"https://127.0.0.1:{port}/depth"
        clients.append(WebSocketClient(server.url, lambda: DeltaFeed(url), lambda _book: None, **QUICK))
        status = run_until_book_or_given_up(clients[0])
    if trusted:
        assert (status.books, status.last_error) == (1, None)
    else:
        assert "gave no snapshot" in str(status.last_error)
        assert "self-signed certificate" in str(status.last_error)


UNREADABLE_PROXIES = (
    "user:secret@host:3128",
    "http://user:secret@host:3128/path",
    "http://user:secret@host:3128/?secret",
    "htp://user:secret@host:3128",
    "http://user:#secret@host:3128",
    "http://user:#@secret:3128",
    "http://user:secret@host:port",
    "http://secret@host:3128",
    "http://[secret",
    "secret",
)


@pytest.mark.parametrize("proxy", UNREADABLE_PROXIES)
def test_unreadable_proxy_setting_is_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    """An error in HTTPS_PROXY ends in a sentence on how to write it, for socket and snapshot alike.

    Its password is in no status and in no chained error.
    """
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    monkeypatch.delenv("NO_PROXY", raising=False)
    status = run_until_book_or_given_up(
        WebSocketClient("wss://exchange.invalid/ws", gateway, lambda _book: None, **QUICK)
    )
    with pytest.raises(NetworkError) as refused:
        asyncio.run(fetch("https://exchange.invalid/depth", 5))
    for text in (str(status.last_error), "".join(traceback.format_exception(refused.value))):
        assert "HTTPS_PROXY should look like http://host:port" in text
        assert "secret" not in text


def test_snapshot_never_bypasses_socks_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST uses the proxy or fails: behind a SOCKS proxy, which only sockets can use, it says so.

    It does not go out directly.
    """
    monkeypatch.setenv("SOCKS_PROXY", "socks5h://user:secret@127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with pytest.raises(NetworkError, match=r"exchange.invalid can't be asked for a snapshot") as refused:
        asyncio.run(fetch("https://exchange.invalid/depth", 5))
    assert "secret" not in str(refused.value)
