"""Every fragment of the page has a container of the page's own, by the messages that the server sends."""

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
def first_run(tmp_path: Path) -> Iterator[list[ForwardMsg]]:
    """Return all messages that the server sends a new visitor until the page is complete."""
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


def test_every_fragment_is_alone_in_a_container_of_the_page(first_run: list[ForwardMsg]) -> None:
    """A fragment draws into a container that the page drew, and nothing else draws into that container.

    Streamlit may drop what a fragment drew in a run of the whole page, and then removes its blocks. They must not
    leave a hole for the following blocks to move into, or the next message names a place that does not exist.
    """
    drawn = [(tuple(each.metadata.delta_path), each.delta.fragment_id) for each in first_run if each.HasField("delta")]
    places_by_fragment: dict[str, set[Place]] = {}
    for place, fragment in drawn:
        if fragment:
            places_by_fragment.setdefault(fragment, set()).add(place)
    assert len(places_by_fragment) >= 4  # the inputs, the numbers, the charts, the detail tab
    page_places = {place for place, fragment in drawn if not fragment}
    for places in places_by_fragment.values():
        root = min(places, key=len)
        container = root[:-1]
        assert container in page_places
        assert root[-1] == 0
        assert [place for place, _ in drawn if place[:-1] == container] == [root]
