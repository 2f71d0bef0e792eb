"""An application over HTTP/2 without TLS, read by h2: `application_h2c.py IP:PORT [SECONDS]`.

It waits so many SECONDS before it sends its SETTINGS.
It answers like `application.py`: with the body of POST, and else with a text or a pattern.
"""

import re
import socket
import sys
import threading
import time

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

PATTERN = bytes(range(251)) * 66
# The paths of requests that were refused.
REFUSED = set()
DELAY = float(sys.argv[2]) if len(sys.argv) > 2 else 0


class Connection:
    """One connection of aop."""

    def __init__(self, plain):
        self.plain = plain
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.h2 = h2.connection.H2Connection(config)
        self.requests, self.left = {}, {}

    def serve(self):
        time.sleep(DELAY)
        self.h2.initiate_connection()
        try:
            while True:
                self.pour()
                data = self.plain.recv(65536)
                if not data:
                    return
                for event in self.h2.receive_data(data):
                    self.take(event)
        except (OSError, h2.exceptions.ProtocolError) as error:
            print(f"fault: {error!r}", flush=True)
        finally:
            self.plain.close()

    def take(self, event):
        if isinstance(event, h2.events.RequestReceived):
            self.requests[event.stream_id] = (dict(event.headers), bytearray())
            if dict(event.headers)[":path"].startswith("/early/"):
                self.answer(event.stream_id)
        elif isinstance(event, h2.events.DataReceived):
            length = event.flow_controlled_length
            self.h2.acknowledge_received_data(length, event.stream_id)
            if event.stream_id in self.requests:
                self.requests[event.stream_id][1].extend(event.data)
                self.refuse_once(event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            if event.stream_id in self.requests:
                self.answer(event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self.requests.pop(event.stream_id, None)
            self.left.pop(event.stream_id, None)

    def refuse_once(self, stream):
        """/once/NAME: the first request for this path is refused within its body."""
        path = self.requests[stream][0][":path"]
        if path.startswith("/once/") and path not in REFUSED:
            REFUSED.add(path)
            del self.requests[stream]
            self.h2.reset_stream(stream, h2.errors.ErrorCodes.REFUSED_STREAM)

    def answer(self, stream):
        fields, body = self.requests.pop(stream)
        path, status = fields[":path"], 200
        if found := re.match("/early/(.*)", path):
            status, body = int(found[1]), b"early %s\n" % found[1].encode()
        elif found := re.match("/pattern/(.*)", path):
            count = int(found[1])
            body = (PATTERN * (count // len(PATTERN) + 1))[:count]
        elif fields[":method"] != "POST":
            body = f"the application answers {path}\n".encode()
        head = [(":status", str(status)), ("content-length", str(len(body)))]
        try:
            self.h2.send_headers(stream, head)
        except h2.exceptions.ProtocolError:
            # The stream was reset meanwhile.
            return
        self.left[stream] = memoryview(bytes(body))

    def pour(self):
        """Sends as much as the windows allow."""
        for stream, left in list(self.left.items()):
            while True:
                room = min(
                    self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size
                )
                part, left = left[:room], left[room:]
                if part or not left:
                    self.h2.send_data(stream, bytes(part), end_stream=not left)
                if not left:
                    del self.left[stream]
                    break
                self.left[stream] = left
                if not part:
                    break
        self.plain.sendall(self.h2.data_to_send())


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    listener = socket.create_server((host, int(port)), backlog=512)
    print("listens", flush=True)
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=Connection(plain).serve, daemon=True).start()


main()
