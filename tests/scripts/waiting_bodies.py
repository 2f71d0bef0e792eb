"""Uploads that begin before the application has sent its SETTINGS, or that it refuses once within
the body: each must arrive whole."""

import time

from edge import Edge, report
from frames import Peer, request

EDGE = Edge()
SIZES = (1, 10, 1000, 20_000, 60_000, 0)


def at_once():
    peer = Peer(EDGE)
    numbers = [2 * index + 1 for index in range(len(SIZES))]
    for number, size in zip(numbers, SIZES):
        peer.headers(number, request("POST", "/echo"), end=False)
        if size:
            peer.data(number, b"%d" % (number % 10) * min(size, 16_000))
        peer.ping()
        for at in range(16_000, size, 16_000):
            peer.data(number, b"%d" % (number % 10) * min(size - at, 16_000))
        peer.data(number, b"", end=True)
    for number, size in zip(numbers, SIZES):
        found = peer.finish(number)
        body = b"%d" % (number % 10) * size
        assert found.status() == 200, vars(found)
        assert found.body == body, f"{len(found.body)} bytes of {size}"
    peer.close()


def with_trailers():
    peer = Peer(EDGE)
    for number in (1, 3, 5):
        peer.headers(number, request("POST", "/echo"), end=False)
        peer.data(number, b"before the trailers")
        peer.headers(number, [("x-sum", "1")])
    for number in (1, 3, 5):
        found = peer.finish(number)
        assert (found.status(), bytes(found.body)) == (200, b"before the trailers"), vars(found)
    peer.close()


def refused_once():
    peer = Peer(EDGE)
    parts = [(b"first ", b"second"), (b"x" * 16_000, b"y" * 9_000), (b"", b"z" * 100), (b"a", b"")]
    for number, (first, second) in zip(range(1, 9, 2), parts):
        peer.headers(number, request("POST", f"/once/{number}"), end=False)
        peer.data(number, first)
        # The application has refused the stream meanwhile, or not yet.
        if number != 1:
            time.sleep(0.2)
        peer.data(number, second, end=True)
        found = peer.finish(number)
        assert found.status() == 200, vars(found)
        assert found.body == first + second, f"{number}: {len(found.body)} bytes"
    peer.close()


# Together: none finds a connection that has rested.
CASES = [("at once", at_once), ("with trailers", with_trailers), ("refused once", refused_once)]
report(CASES, parallel=3)
