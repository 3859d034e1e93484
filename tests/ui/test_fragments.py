"""The parts of the page that are drawn alone each have a place that is the page's own, by what the server sends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.sync.client import connect

from tests.support.served_page import served_page

Place = tuple[int, ...]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[list[ForwardMsg]]:
    """All that the server sends a new visitor until the page is whole."""
    with served_page(tmp_path / "log") as (address, _):
        stream = f"{address.replace('http', 'ws', 1)}/_stcore/stream"
        with connect(stream, subprotocols=["streamlit"], proxy=None, max_size=None, origin=address) as socket:
            request = BackMsg()
            request.rerun_script.query_string = ""
            socket.send(request.SerializeToString())
            sent = [ForwardMsg.FromString(socket.recv(timeout=20))]
            while sent[-1].WhichOneof("type") != "script_finished":
                sent.append(ForwardMsg.FromString(socket.recv(timeout=20)))
            yield sent


def test_every_fragment_is_alone_in_a_container_of_the_page(run: list[ForwardMsg]) -> None:
    """What a part draws lies in a block that no part drew and that nobody else draws in.

    Streamlit may drop what a part drew in a run of the whole page, and then takes its blocks away: they must not
    leave a hole that what follows moves up into, or the next message names a place that is not there.
    """
    drawn = [(tuple(each.metadata.delta_path), each.delta.fragment_id) for each in run if each.HasField("delta")]
    parts: dict[str, set[Place]] = {}
    for place, part in drawn:
        if part:
            parts.setdefault(part, set()).add(place)
    assert len(parts) >= 4  # the inputs, the numbers, the pictures, the closer view
    of_page = {place for place, part in drawn if not part}
    for places in parts.values():
        root = min(places, key=len)
        home = root[:-1]
        assert home in of_page
        assert root[-1] == 0
        assert [place for place, _ in drawn if place[:-1] == home] == [root]
