"""An HTTP/2 peer that sends any frames and headers, also invalid ones.

Frames are of `hyperframe` and header blocks of `hpack`, both independent of aop. Nothing is checked
before it is sent.
"""

import socket
import time

import hpack
from edge import HOST, PATIENCE
from hyperframe import frame

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW = 1 << 20

# Error codes of RFC 9113, section 7.
NO_ERROR, PROTOCOL_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED = 0, 1, 3, 5
FRAME_SIZE_ERROR, CANCEL, COMPRESSION_ERROR = 6, 8, 9


def request(method="GET", path="/", *more, scheme="https", authority=HOST):
    """The fields of a request. A pseudo header that is None is left out."""
    pseudo = ((":method", method), (":scheme", scheme), (":authority", authority), (":path", path))
    return [field for field in pseudo if field[1] is not None] + list(more)


class Gone(Exception):
    """The connection has ended."""


class Stream:
    """The part of a stream that aop has sent."""

    def __init__(self):
        self.heads, self.body = [], bytearray()
        self.reset, self.ended = None, False

    def status(self):
        """The last status, or None."""
        found = [dict(head)[b":status"] for head in self.heads if b":status" in dict(head)]
        return int(found[-1]) if found else None

    def done(self):
        return self.ended or self.reset is not None


class Peer:
    """A connection of the edge to aop with HTTP/2."""

    def __init__(self, edge, settings=None, window=WINDOW):
        self.socket = edge.connect("h2")
        assert self.socket.selected_alpn_protocol() == "h2"
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()
        self.streams, self.goaway, self.gone = {}, None, False
        self.pongs, self.acknowledged = [], 0
        self.received, self.block = bytearray(), None
        settings = {4: window, **(settings or {})}
        grant = frame.WindowUpdateFrame(0, window_increment=WINDOW * 16)
        self.raw(PREFACE + frame.SettingsFrame(0, settings=settings).serialize())
        self.send(grant)

    def raw(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            self.gone = True
            raise Gone from error

    def send(self, *frames):
        self.raw(b"".join(each.serialize() for each in frames))

    def headers(self, stream, fields, end=True, encoder=None, **flags):
        """Sends a header block in one HEADERS frame."""
        block = (encoder or self.encoder).encode(fields)
        names = {"END_HEADERS": True, "END_STREAM": end, **flags}
        self.send(
            frame.HeadersFrame(stream, block, flags=[name for name, on in names.items() if on])
        )

    def data(self, stream, data, end=False):
        """Sends one DATA frame, without regard for windows."""
        self.send(frame.DataFrame(stream, data, flags=["END_STREAM"] if end else []))

    def reset(self, stream, code=CANCEL):
        self.send(frame.RstStreamFrame(stream, error_code=code))

    def stream(self, number):
        return self.streams.setdefault(number, Stream())

    def until(self, happened, what):
        """Reads until `happened()` holds."""
        end = time.monotonic() + PATIENCE
        while not happened():
            left = end - time.monotonic()
            if self.gone:
                raise Gone(f"the connection ended before {what}: {self.goaway}")
            if left <= 0:
                raise TimeoutError(f"{what} did not happen")
            self.read(left)

    def read(self, patience):
        """Reads once. Returns whether anything came in time."""
        self.socket.settimeout(patience)
        try:
            data = self.socket.recv(65536)
        except (socket.timeout, TimeoutError):
            return False
        except OSError:
            data = b""
        self.gone = not data
        self.received += data
        while len(self.received) >= 9:
            head, length = frame.Frame.parse_frame_header(memoryview(self.received)[:9])
            if len(self.received) < 9 + length:
                break
            head.parse_body(memoryview(bytes(self.received[9 : 9 + length])))
            del self.received[: 9 + length]
            self.take(head)
        return True

    def take(self, each):
        if isinstance(each, (frame.HeadersFrame, frame.ContinuationFrame)):
            if isinstance(each, frame.HeadersFrame):
                self.block = (each.stream_id, "END_STREAM" in each.flags, bytearray())
            self.block[2].extend(each.data)
            if "END_HEADERS" in each.flags:
                number, end, block = self.block
                stream = self.stream(number)
                stream.heads.append(self.decoder.decode(bytes(block), raw=True))
                stream.ended |= end
        elif isinstance(each, frame.DataFrame):
            stream = self.stream(each.stream_id)
            stream.body += each.data
            stream.ended |= "END_STREAM" in each.flags
        elif isinstance(each, frame.RstStreamFrame):
            self.stream(each.stream_id).reset = each.error_code
        elif isinstance(each, frame.GoAwayFrame):
            self.goaway = (each.error_code, each.last_stream_id, bytes(each.additional_data))
        elif isinstance(each, frame.SettingsFrame):
            if "ACK" in each.flags:
                self.acknowledged += 1
            else:
                self.raw(frame.SettingsFrame(0, flags=["ACK"]).serialize())
        elif isinstance(each, frame.PingFrame):
            if "ACK" in each.flags:
                self.pongs.append(bytes(each.opaque_data))
            else:
                self.send(frame.PingFrame(0, opaque_data=each.opaque_data, flags=["ACK"]))

    def finish(self, number):
        """Waits for the end of a stream."""
        self.until(lambda: self.stream(number).done(), f"the end of stream {number}")
        return self.stream(number)

    def ping(self):
        """Waits for the answer to a PING: aop has read everything before it."""
        token = b"%8d" % (len(self.pongs) + 1)
        self.send(frame.PingFrame(0, opaque_data=token))
        self.until(lambda: token in self.pongs, "the answer to a PING")

    def close(self):
        self.socket.close()
