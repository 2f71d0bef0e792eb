"""Errors of an HTTP/2 connection: aop must name them in a GOAWAY, and serve the next connection."""

import struct

from edge import report
from frames import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PROTOCOL_ERROR,
    STREAM_CLOSED,
    Gone,
    Peer,
    request,
)
from hyperframe import frame
from living import EDGE, begin, serves


def broken(act, *codes):
    """A case that is an error of the connection, which aop ends with one of these codes."""

    def run():
        peer = Peer(EDGE)
        begin(peer)
        peer.ping()
        try:
            act(peer)
            peer.until(lambda: peer.goaway is not None, "a GOAWAY")
        except Gone:
            pass
        assert peer.goaway is not None and peer.goaway[0] in codes, peer.goaway
        peer.close()
        again = Peer(EDGE)
        again.headers(1, request())
        serves(again, 1)

    return run


def bytes_of(kind, flags, stream, body):
    return lambda peer: peer.raw(struct.pack(">HBBBL", 0, len(body), kind, flags, stream) + body)


def number_again(peer):
    peer.headers(5, request())
    peer.finish(5)
    peer.headers(3, request())


def interleaved(peer):
    block = peer.encoder.encode(request())
    peer.send(frame.HeadersFrame(3, block[:5], flags=["END_STREAM"]), frame.DataFrame(1, b"x"))


def too_large(peer):
    peer.raw(struct.pack(">BHBBL", 1, 0, 0, 0, 1) + bytes(1 << 16))


CONNECTION_ERRORS = [
    ("DATA on stream 0", broken(bytes_of(0, 0, 0, b"x"), PROTOCOL_ERROR)),
    ("HEADERS on stream 0", broken(bytes_of(1, 5, 0, b"\x82"), PROTOCOL_ERROR)),
    ("HEADERS on an even stream", broken(bytes_of(1, 5, 2, b"\x82"), PROTOCOL_ERROR)),
    ("a lower stream", broken(number_again, PROTOCOL_ERROR, STREAM_CLOSED)),
    ("DATA on an idle stream", broken(bytes_of(0, 0, 9, b"x"), PROTOCOL_ERROR, STREAM_CLOSED)),
    ("RST_STREAM on an idle stream", broken(bytes_of(3, 0, 9, bytes(4)), PROTOCOL_ERROR)),
    ("WINDOW_UPDATE on an idle stream", broken(bytes_of(8, 0, 9, b"\0\0\0\1"), PROTOCOL_ERROR)),
    ("PUSH_PROMISE", broken(bytes_of(5, 4, 1, b"\0\0\0\2\x82"), PROTOCOL_ERROR)),
    ("SETTINGS of 5 bytes", broken(bytes_of(4, 0, 0, bytes(5)), FRAME_SIZE_ERROR)),
    ("SETTINGS on a stream", broken(bytes_of(4, 0, 1, b""), PROTOCOL_ERROR)),
    ("acknowledged SETTINGS with bytes", broken(bytes_of(4, 1, 0, bytes(6)), FRAME_SIZE_ERROR)),
    ("ENABLE_PUSH of 2", broken(bytes_of(4, 0, 0, b"\0\2\0\0\0\2"), PROTOCOL_ERROR)),
    ("window of 2 GiB", broken(bytes_of(4, 0, 0, b"\0\4\x80\0\0\0"), FLOW_CONTROL_ERROR)),
    ("frame size of 1", broken(bytes_of(4, 0, 0, b"\0\5\0\0\0\1"), PROTOCOL_ERROR)),
    ("PING of 7 bytes", broken(bytes_of(6, 0, 0, bytes(7)), FRAME_SIZE_ERROR)),
    ("PING on a stream", broken(bytes_of(6, 0, 1, bytes(8)), PROTOCOL_ERROR)),
    ("increment of zero", broken(bytes_of(8, 0, 0, bytes(4)), PROTOCOL_ERROR)),
    ("overflow of the window", broken(bytes_of(8, 0, 0, b"\x7f\xff\xff\xff"), FLOW_CONTROL_ERROR)),
    ("GOAWAY on a stream", broken(bytes_of(7, 0, 1, bytes(8)), PROTOCOL_ERROR)),
    ("index 0", broken(bytes_of(1, 5, 3, b"\x80"), COMPRESSION_ERROR)),
    ("index beyond the table", broken(bytes_of(1, 5, 3, b"\xfe"), COMPRESSION_ERROR)),
    ("broken Huffman code", broken(bytes_of(1, 5, 3, b"\x04\x81\x00"), COMPRESSION_ERROR)),
    ("CONTINUATION alone", broken(bytes_of(9, 4, 1, b"\x82"), PROTOCOL_ERROR)),
    ("a frame within a header block", broken(interleaved, PROTOCOL_ERROR)),
    ("a frame of 64 KiB", broken(too_large, FRAME_SIZE_ERROR)),
    ("padding longer than the frame", broken(bytes_of(0, 8, 1, b"\x09abc"), PROTOCOL_ERROR)),
]

report(CONNECTION_ERRORS, parallel=4)
