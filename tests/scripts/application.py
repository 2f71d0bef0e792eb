"""An application over HTTP/1.1, read by h11: `application.py IP:PORT [RECORD]`.

With RECORD it writes a line of JSON to that file for each request and each fault that h11 finds.
The first part of the path says what it does; the functions below are the list.
"""

import json
import re
import socket
import sys
import threading
import time

import h11

SERVER = "aop-test-application"
PATTERN = bytes(range(251)) * 1045
RECORD = open(sys.argv[2], "a", buffering=1) if len(sys.argv) > 2 else None
WRITING = threading.Lock()


def record(**line):
    if RECORD:
        with WRITING:
            RECORD.write(json.dumps(line) + "\n")


class Connection:
    """One connection of aop."""

    def __init__(self, plain, number):
        self.plain, self.number = plain, number
        self.h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=256 << 10)

    def send(self, event):
        self.plain.sendall(self.h11.send(event))

    def event(self):
        while True:
            event = self.h11.next_event()
            if event is not h11.NEED_DATA:
                return event
            self.h11.receive_data(self.plain.recv(65536))

    def answer(self, status, body=b"", *fields):
        fields = [("Content-Length", str(len(body))), ("Server", SERVER), *fields]
        self.send(h11.Response(status_code=status, headers=fields))
        self.send(h11.Data(data=body))
        self.send(h11.EndOfMessage())

    def body(self):
        """The rest of the request: its body and its trailers."""
        data = bytearray()
        while True:
            event = self.event()
            if isinstance(event, h11.EndOfMessage):
                return bytes(data), [list(map(text, field)) for field in event.headers]
            if isinstance(event, h11.ConnectionClosed):
                raise h11.RemoteProtocolError("closed within a body")
            data += event.data

    def serve(self):
        try:
            while self.request():
                self.h11.start_next_cycle()
        except h11.RemoteProtocolError as error:
            rest = self.h11.trailing_data[0][:2000].hex()
            record(connection=self.number, fault=str(error), rest=rest)
        except (OSError, h11.LocalProtocolError):
            pass
        finally:
            self.plain.close()

    def request(self):
        """Serves one request. Returns whether another one may follow."""
        request = self.event()
        if isinstance(request, h11.ConnectionClosed):
            return False
        target = request.target.decode("latin-1")
        action = re.match(r"/([a-z]+)", target)
        act = ACTIONS.get(action[1] if action else "", reply)
        if RECORD:
            act = recorded
        act(self, request, target)
        return self.h11.our_state is h11.DONE and self.h11.their_state is h11.DONE

    def linger(self):
        """Closes as good servers do: what the peer still sends is read for a while."""
        self.plain.shutdown(socket.SHUT_WR)
        self.plain.settimeout(2)
        end = time.monotonic() + 5
        while time.monotonic() < end and self.plain.recv(65536):
            pass


def text(value):
    return value.decode("latin-1")


def recorded(connection, request, target):
    """Records the request once it is complete, and answers with its target."""
    line = {"connection": connection.number, "method": text(request.method), "target": target}
    line["fields"] = [[text(name), text(value)] for name, value in request.headers]
    line["began"] = True
    record(**line)
    body, trailers = connection.body()
    del line["began"]
    record(**line, body=text(body), trailers=trailers)
    connection.answer(200, target.encode("latin-1"))


def reply(connection, _request, target):
    connection.body()
    connection.answer(200, f"the application answers {target}\n".encode())


def echo(connection, _request, _target):
    body, trailers = connection.body()
    fields = [(f"X-Trailer-{name}", value) for name, value in trailers]
    connection.answer(200, body, *fields)


def head(connection, request, target):
    body, _ = connection.body()
    fields = [[text(name), text(value)] for name, value in request.headers]
    seen = {"method": text(request.method), "target": target, "fields": fields, "body": len(body)}
    connection.answer(200, json.dumps(seen).encode())


def early(connection, _request, target):
    """/early/STATUS: answers before the body, which it does not read as HTTP."""
    status = int(target.split("/")[2])
    body = f"early {status}\n".encode()
    connection.answer(status, body, ("Connection", "close"))
    connection.linger()


def expect(connection, request, target):
    """/expect/STATUS: asks for the body with a 100, or refuses it with another status."""
    expected = dict(request.headers).get(b"expect") == b"100-continue"
    status = int(target.split("/")[2])
    if not expected:
        connection.body()
        connection.answer(500, b"no expectation came\n")
    elif status != 100:
        early(connection, request, target)
    else:
        connection.send(h11.InformationalResponse(status_code=100, headers=[]))
        connection.answer(200, b"%d bytes came\n" % len(connection.body()[0]))


def hints(connection, _request, _target):
    connection.body()
    link = [("Link", "</style.css>; rel=preload")]
    connection.send(h11.InformationalResponse(status_code=103, headers=link))
    connection.send(h11.InformationalResponse(status_code=103, headers=[("Link", "</a.js>")]))
    connection.answer(200, b"after two hints\n")


def pattern(connection, _request, target):
    """/pattern/BYTES"""
    connection.body()
    left = int(target.split("/")[2])
    fields = [("Content-Length", str(left)), ("Server", SERVER)]
    connection.send(h11.Response(status_code=200, headers=fields))
    while left:
        part = PATTERN[: min(left, len(PATTERN))]
        connection.send(h11.Data(data=part))
        left -= len(part)
    connection.send(h11.EndOfMessage())


def trailers(connection, _request, _target):
    connection.body()
    fields = [("Transfer-Encoding", "chunked"), ("Trailer", "X-Sum")]
    connection.send(h11.Response(status_code=200, headers=fields))
    for part in (b"one ", b"two ", b"three"):
        connection.send(h11.Data(data=part))
    connection.send(h11.EndOfMessage(headers=[("X-Sum", "13")]))


ACTIONS = {act.__name__: act for act in (echo, head, early, expect, hints, pattern, trailers)}


def main():
    host, port = sys.argv[1].rsplit(":", 1)
    listener = socket.create_server((host, int(port)), backlog=512)
    print("listens", flush=True)
    number = 0
    while True:
        plain, _ = listener.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number += 1
        threading.Thread(target=Connection(plain, number).serve, daemon=True).start()


main()
