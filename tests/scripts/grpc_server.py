"""A gRPC server of grpcio that takes and returns bytes: `grpc_server.py IP:PORT`."""

import sys
import threading
import time
from concurrent import futures

import grpc

LARGEST = 16 << 20
# Calls that have begun, and calls whose end the server has seen, by their request.
BEGUN = set()
CANCELLED = set()


def echo(request, context):
    sent = dict(context.invocation_metadata())
    initial = [(name, value) for name, value in sent.items() if name.startswith("x-echo")]
    context.send_initial_metadata(initial)
    context.set_trailing_metadata((("x-trailer", "end"), ("x-trailer-bin", b"\x00\xff\xab")))
    return request


def size(request, _context):
    return b"%d" % len(request)


def make(request, _context):
    return b"x" * int(request)


def fail(request, context):
    number, text = request.split(b" ", 1)
    code = next(code for code in grpc.StatusCode if code.value[0] == int(number))
    context.abort(code, text.decode())


def metadata(request, context):
    values = [value for name, value in context.invocation_metadata() if name == request.decode()]
    return b",".join(value if isinstance(value, bytes) else value.encode() for value in values)


def authority(_request, context):
    return dict(context.invocation_metadata()).get("x-forwarded-host", "none").encode()


def ends(request, context):
    """Notes when the call ends. It ends by itself only after 20 seconds."""
    ended = threading.Event()

    def note():
        CANCELLED.add(request)
        ended.set()

    context.add_callback(note)
    BEGUN.add(request)
    return ended


def wait_for_cancel(request, context):
    ends(request, context).wait(20)
    return b""


def appears(request, calls):
    until = time.monotonic() + 10
    while request not in calls and time.monotonic() < until:
        time.sleep(0.02)
    return b"yes" if request in calls else b"no"


def has_begun(request, _context):
    return appears(request, BEGUN)


def was_cancelled(request, _context):
    return appears(request, CANCELLED)


def count(request, _context):
    for number in range(int(request)):
        yield b"%d" % number


def fail_after(request, context):
    yield b"first"
    context.abort(grpc.StatusCode.DATA_LOSS, request.decode())


def stream_until_cancelled(request, context):
    ended = ends(request, context)
    yield b"began"
    ended.wait(20)


def add_up(requests, _context):
    return b"%d" % sum(len(request) for request in requests)


def first_only(requests, _context):
    return next(requests)


def converse(requests, _context):
    for request in requests:
        yield request


def refuse_stream(requests, context):
    next(requests)
    context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")


UNARY = [echo, size, make, fail, metadata, authority, wait_for_cancel]
UNARY += [has_begun, was_cancelled]
TO_CLIENT = [count, fail_after, stream_until_cancelled]
FROM_CLIENT = [add_up, first_only]
BOTH = [converse, refuse_stream]


def handlers():
    kinds = (
        (grpc.unary_unary_rpc_method_handler, UNARY),
        (grpc.unary_stream_rpc_method_handler, TO_CLIENT),
        (grpc.stream_unary_rpc_method_handler, FROM_CLIENT),
        (grpc.stream_stream_rpc_method_handler, BOTH),
    )
    methods = {act.__name__: kind(act) for kind, acts in kinds for act in acts}
    return grpc.method_handlers_generic_handler("aop.Test", methods)


server = grpc.server(
    futures.ThreadPoolExecutor(80),
    options=[
        ("grpc.max_receive_message_length", LARGEST),
        ("grpc.max_send_message_length", LARGEST),
    ],
)
server.add_generic_rpc_handlers((handlers(),))
assert server.add_insecure_port(sys.argv[1]) > 0
server.start()
print("listens", flush=True)
server.wait_for_termination()
