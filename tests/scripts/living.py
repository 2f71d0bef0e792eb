"""A request that lives while a case runs on the same connection."""

from edge import Edge
from frames import PROTOCOL_ERROR, Peer, request

EDGE = Edge()


def begin(peer, stream=1):
    peer.headers(stream, request("POST", "/echo"), end=False)
    peer.data(stream, b"first ")


def end(peer, stream=1):
    peer.data(stream, b"second", end=True)
    found = peer.finish(stream)
    assert (found.status(), bytes(found.body)) == (200, b"first second"), vars(found)
    assert peer.goaway is None, peer.goaway
    peer.close()


def beside(act, **options):
    """A case that must leave the living stream alone."""

    def run():
        peer = Peer(EDGE, **options)
        begin(peer)
        act(peer)
        peer.ping()
        end(peer)

    return run


def refuses(peer, stream=3):
    found = peer.finish(stream)
    refused = found.reset == PROTOCOL_ERROR or found.status() == 400
    assert refused, f"status {found.status()}, reset {found.reset}, {bytes(found.body)}"


def serves(peer, stream, body=None):
    found = peer.finish(stream)
    assert found.status() == 200 and found.reset is None, vars(found)
    assert body is None or found.body == body, f"{len(found.body)} bytes: {found.body[:80]}"
