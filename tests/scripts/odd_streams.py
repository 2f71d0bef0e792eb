"""Odd and malformed HTTP/2 beside a request that lives: `hpack` and `hyperframe` as the peer.

Each case has a connection of its own, on which stream 1 uploads. After the case, stream 1 must end
well.
"""

import struct

import hpack
from edge import HOST, report
from frames import FLOW_CONTROL_ERROR, NO_ERROR, PROTOCOL_ERROR, Peer, request
from hyperframe import frame
from living import EDGE, begin, beside, refuses, serves


def malformed(fields, body=None, trailers=None):
    def act(peer):
        # Without an index: the compression state stays the same on both sides.
        peer.headers(3, fields, end=body is None and trailers is None)
        if body is not None:
            peer.data(3, body, end=trailers is None)
        if trailers is not None:
            peer.headers(3, trailers)
        refuses(peer)
        # The compression state has survived.
        peer.headers(5, request("GET", "/after", ("x-after", "one")))
        serves(peer, 5)

    return beside(act)


def field(name, value):
    return malformed(request("GET", "/a", (name, value)))


MALFORMED = [
    ("NUL in a value", field("x-odd", b"a\x00b")),
    ("CR in a value", field("x-odd", b"a\rb")),
    ("LF in a value", field("x-odd", b"a\nb: c")),
    ("upper case in a name", field("X-Odd", "a")),
    ("space in a name", field("x odd", "a")),
    ("colon in a name", field("x:odd", "a")),
    ("LF in a name", field(b"x\nodd", "a")),
    ("NUL in a name", field(b"x\x00odd", "a")),
    ("high byte in a name", field(b"x\xe9", "a")),
    ("quote in a name", field(b'x"y', "a")),
    ("empty name", field("", "a")),
    ("unknown pseudo-header", malformed([*request(), (":odd", "a")])),
    ("status in a request", malformed([*request(), (":status", "200")])),
    ("pseudo-header after a field", malformed([("x", "y"), *request()])),
    ("no method", malformed(request(None))),
    ("no scheme", malformed(request(scheme=None))),
    ("no path", malformed(request(path=None))),
    ("two methods", malformed([(":method", "GET"), *request()])),
    ("two paths", malformed([*request(), (":path", "/b")])),
    ("two authorities", malformed([*request(), (":authority", HOST)])),
    ("empty path", malformed(request(path=""))),
    ("path without a slash", malformed(request(path="a"))),
    ("space in a path", malformed(request(path="/a b"))),
    ("LF in a path", malformed(request(path=b"/a\nb"))),
    ("CR and LF in a path", malformed(request(path=b"/ HTTP/1.1\r\nx: y\r\n\r\n"))),
    ("NUL in a path", malformed(request(path=b"/a\x00"))),
    ("empty method", malformed(request(""))),
    ("space in a method", malformed(request("GET /x"))),
    ("LF in a method", malformed(request(b"GET\n"))),
    ("high byte in a method", malformed(request(b"G\xc9T"))),
    ("connection", field("connection", "close")),
    ("keep-alive", field("keep-alive", "1")),
    ("proxy-connection", field("proxy-connection", "close")),
    ("transfer-encoding", field("transfer-encoding", "chunked")),
    ("upgrade", field("upgrade", "websocket")),
    ("te that is not trailers", field("te", "gzip")),
    ("length that is no number", field("content-length", "x")),
    (
        "two lengths",
        malformed(request("POST", "/a", *[("content-length", n) for n in "34"]), b"abc"),
    ),
    ("more than the length", malformed(request("POST", "/a", ("content-length", "3")), b"abcd")),
    ("less than the length", malformed(request("POST", "/a", ("content-length", "3")), b"ab")),
    ("length without a body", malformed(request("POST", "/a", ("content-length", "3")))),
    ("pseudo-header in trailers", malformed(request("POST", "/a"), b"a", [(":path", "/b")])),
    ("upper case in trailers", malformed(request("POST", "/a"), b"a", [("X-Odd", "b")])),
]


def trailers_without_end(peer):
    peer.headers(3, request("POST", "/echo"), end=False)
    peer.data(3, b"a")
    peer.headers(3, [("x-sum", "1")], end=False)
    refuses(peer)


def padded(peer):
    block = peer.encoder.encode(request("POST", "/echo"))
    peer.send(frame.HeadersFrame(3, block, pad_length=200, flags=["PADDED", "END_HEADERS"]))
    for size in (0, 1, 255):
        peer.send(frame.DataFrame(3, b"abc", pad_length=size, flags=["PADDED"]))
    peer.send(frame.DataFrame(3, b"", pad_length=9, flags=["PADDED", "END_STREAM"]))
    serves(peer, 3, b"abcabcabc")


def continuations(peer):
    fields = request("GET", "/many", *[(f"x-field-{number}", "v" * 300) for number in range(40)])
    block = peer.encoder.encode(fields)
    pieces = [block[at : at + 900] for at in range(0, len(block), 900)]
    peer.send(frame.HeadersFrame(3, pieces[0], flags=["END_STREAM"]))
    for piece in pieces[1:-1]:
        peer.send(frame.ContinuationFrame(3, piece))
    peer.send(frame.ContinuationFrame(3, pieces[-1], flags=["END_HEADERS"]))
    serves(peer, 3)


def empty_data(peer):
    peer.headers(3, request("POST", "/echo"), end=False)
    for _ in range(150):
        peer.data(3, b"")
        peer.data(3, b"x")
    peer.data(3, b"", end=True)
    serves(peer, 3, b"x" * 150)


def priorities(peer):
    for number in range(101, 161, 2):
        peer.send(frame.PriorityFrame(number, depends_on=1, stream_weight=7, exclusive=True))
    block = peer.encoder.encode(request())
    flags = ["PRIORITY", "END_HEADERS", "END_STREAM"]
    peer.send(frame.HeadersFrame(3, block, depends_on=1, stream_weight=255, flags=flags))
    serves(peer, 3)


def unknown_frames(peer):
    for kind in (0x0A, 0x10, 0x42, 0xFF):
        for stream in (0, 1, 9):
            peer.raw(struct.pack(">HBBBL", 0, 5, kind, 0xFF, stream) + b"hello")
    peer.send(frame.SettingsFrame(0, settings={0x99: 7, 0xFFFF: 0}))
    peer.headers(3, request())
    serves(peer, 3)


def unknown_flags(peer):
    block = peer.encoder.encode(request())
    peer.raw(struct.pack(">HBBBL", 0, len(block), 1, 0x05 | 0x82, 3) + block)
    serves(peer, 3)


def small_window(peer):
    """The window of each stream is 10 bytes, and is then enlarged by small steps."""
    peer.headers(3, request(path="/pattern/200"))
    peer.until(lambda: len(peer.stream(3).body) == 10, "a full window")
    while not peer.stream(3).done():
        had = len(peer.stream(3).body)
        peer.send(frame.WindowUpdateFrame(3, window_increment=19))
        peer.until(lambda: len(peer.stream(3).body) > had or peer.stream(3).done(), "more")
    serves(peer, 3, (bytes(range(251)) * 2)[:200])
    peer.send(frame.SettingsFrame(0, settings={4: 1000}))


def exact_window(peer):
    """The last bytes of the response wait, and then fill the window exactly."""
    for number, size in ((3, 29), (5, 10), (7, 48)):
        peer.headers(number, request(path=f"/pattern/{size}"))
        peer.until(lambda: len(peer.stream(number).body) == 10, "a full window")
        if size > 10:
            peer.ping()
            peer.send(frame.WindowUpdateFrame(number, window_increment=size - 10))
        serves(peer, number, bytes(range(size)))
    peer.send(frame.SettingsFrame(0, settings={4: 1000}))


def shrinking_window(peer):
    """The initial window becomes smaller, so that the window of a stream is negative."""
    peer.headers(3, request(path="/pattern/100000"))
    peer.until(lambda: len(peer.stream(3).body) == 30000, "a full window")
    peer.send(frame.SettingsFrame(0, settings={4: 10}))
    peer.until(lambda: peer.acknowledged >= 2, "the acknowledgement of the settings")
    assert len(peer.stream(3).body) == 30000
    peer.send(frame.SettingsFrame(0, settings={4: 200000}))
    serves(peer, 3, (bytes(range(251)) * 400)[:100000])


def reset_within(peer):
    peer.headers(3, request(path="/pattern/100000"))
    peer.until(lambda: len(peer.stream(3).body) > 0, "the first bytes")
    peer.reset(3)
    peer.headers(5, request(path="/pattern/50000"))
    serves(peer, 5)


def late_frames(peer):
    """Frames that were under way when aop reset the stream."""
    for number in range(3, 43, 2):
        peer.headers(number, request("POST", "/a", ("connection", "close")), end=False)
        refuses(peer, number)
        for _ in range(8):
            peer.data(number, b"late")
        peer.send(frame.WindowUpdateFrame(number, window_increment=10))
        peer.reset(number)
    peer.headers(43, request())
    serves(peer, 43)


def early_answers(peer):
    """Uploads that the application answers early, over the life of one connection."""
    for number in range(3, 123, 2):
        peer.headers(number, request("POST", "/early/413"), end=False)
        peer.data(number, b"x" * 100)
        found = peer.finish(number)
        assert found.status() == 413, vars(found)
        for _ in range(3):
            peer.data(number, b"late" * 10)
    peer.headers(123, request())
    serves(peer, 123)


def resets(peer):
    for number in range(3, 63, 2):
        peer.headers(number, request(path="/pattern/1000"))
        peer.reset(number)
    peer.headers(63, request())
    serves(peer, 63)


def crumbs(peer):
    fields = [("cookie", f"c{number}={number}") for number in range(60)]
    peer.headers(3, request("GET", "/", *fields))
    serves(peer, 3)


def table_sizes(peer):
    for number, size in ((3, 0), (5, 4096), (7, 100)):
        peer.encoder.header_table_size = size
        peer.headers(number, request("GET", f"/{number}", ("x-field", "value " * 5)))
        serves(peer, number)


def without_huffman(peer):
    block = peer.encoder.encode(request("GET", "/plain", ("x-field", "value")), huffman=False)
    peer.send(frame.HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]))
    serves(peer, 3)


def never_indexed(peer):
    secret = hpack.NeverIndexedHeaderTuple("authorization", "secret")
    for number in (3, 5):
        peer.headers(number, [hpack.HeaderTuple(*each) for each in request()] + [secret])
        serves(peer, number)


def pings(peer):
    for _ in range(20):
        peer.ping()


def many_at_once(peer):
    numbers = range(3, 163, 2)
    for number in numbers:
        peer.headers(number, request(path=f"/pattern/{number * 100}"))
    for number in numbers:
        serves(peer, number, (bytes(range(251)) * 66)[: number * 100])


def stream_window_overflow(peer):
    peer.headers(3, request("POST", "/echo"), end=False)
    for _ in range(2):
        peer.send(frame.WindowUpdateFrame(3, window_increment=2**31 - 1))
    assert peer.finish(3).reset == FLOW_CONTROL_ERROR, vars(peer.stream(3))


def stream_window_of_zero(peer):
    peer.headers(3, request("POST", "/echo"), end=False)
    peer.raw(struct.pack(">HBBBLL", 0, 4, 8, 0, 3, 0))
    assert peer.finish(3).reset == PROTOCOL_ERROR, vars(peer.stream(3))


def goaway_of_the_peer():
    """The peer says that it opens no more streams. Its open stream still ends well."""
    peer = Peer(EDGE)
    begin(peer)
    peer.ping()
    peer.send(frame.GoAwayFrame(0, last_stream_id=0, error_code=NO_ERROR))
    peer.data(1, b"second", end=True)
    found = peer.finish(1)
    assert (found.status(), bytes(found.body)) == (200, b"first second"), vars(found)


VALID = [
    ("padding", beside(padded)),
    ("continuation frames", beside(continuations)),
    ("empty DATA frames", beside(empty_data)),
    ("priorities", beside(priorities)),
    ("unknown frames and settings", beside(unknown_frames)),
    ("unknown flags", beside(unknown_flags)),
    ("small window", beside(small_window, window=10)),
    ("exact window", beside(exact_window, window=10)),
    ("shrinking window", beside(shrinking_window, window=30000)),
    ("a stream reset within its answer", beside(reset_within)),
    ("frames after a reset", beside(late_frames)),
    ("60 early answers", beside(early_answers)),
    ("30 resets", beside(resets)),
    ("cookies in crumbs", beside(crumbs)),
    ("sizes of the dynamic table", beside(table_sizes)),
    ("no Huffman code", beside(without_huffman)),
    ("fields that are never indexed", beside(never_indexed)),
    ("pings", beside(pings)),
    ("80 streams at once", beside(many_at_once)),
    ("trailers without an end", beside(trailers_without_end)),
    ("overflow of a stream's window", beside(stream_window_overflow)),
    ("increment of zero for a stream", beside(stream_window_of_zero)),
    ("GOAWAY of the peer", goaway_of_the_peer),
]


report(MALFORMED + VALID, parallel=4)
