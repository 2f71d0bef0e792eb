"""gRPC cases through aop with the client of grpcio."""

import threading
from pathlib import Path

import grpc
from edge import HOST, PATIENCE, Edge, report

EDGE = Edge()
LARGEST = 16 << 20
CODES = [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK]


def channel():
    read = EDGE.arguments
    files = [Path(name).read_bytes() for name in (read.ca, read.key, read.certificate)]
    names = ("grpc.ssl_target_name_override", "grpc.default_authority")
    options = [(name, HOST) for name in names]
    # A channel of its own, so that cases do not share connections by accident.
    options += [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]
    options += [(f"grpc.max_{way}_message_length", LARGEST) for way in ("send", "receive")]
    credentials = grpc.ssl_channel_credentials(*files)
    return grpc.secure_channel(EDGE.arguments.address, credentials, options)


CHANNEL = channel()


def unary(name, of=CHANNEL):
    return of.unary_unary(f"/aop.Test/{name}")


def to_client(name, of=CHANNEL):
    return of.unary_stream(f"/aop.Test/{name}")


def from_client(name):
    return CHANNEL.stream_unary(f"/aop.Test/{name}")


def both(name):
    return CHANNEL.stream_stream(f"/aop.Test/{name}")


def equal(found, expected):
    assert found == expected, f"{found!r}, not {expected!r}"


def fails(act, code, text=None):
    """Calls `act`, which must end with this status."""
    try:
        act()
    except grpc.RpcError as error:
        equal(error.code(), code)
        if text is not None:
            equal(error.details(), text)
        return error
    raise AssertionError("it succeeded")


def message(request):
    equal(unary("echo")(request, timeout=PATIENCE), request)


def large_both_ways():
    request = bytes(range(256)) * (20 << 10)
    equal(unary("echo")(request, timeout=PATIENCE), request)


def one_way():
    equal(unary("size")(b"x" * (6 << 20), timeout=PATIENCE), b"%d" % (6 << 20))
    equal(len(unary("make")(b"%d" % (6 << 20), timeout=PATIENCE)), 6 << 20)


def compressed():
    request = b"abc" * 100_000
    answer = unary("echo")(request, timeout=PATIENCE, compression=grpc.Compression.Gzip)
    equal(answer, request)


def all_metadata():
    sent = (("x-echo-text", "some text"), ("x-echo-bin", b"\x00\x01\xfe\xff"))
    answer, call = unary("echo").with_call(b"", metadata=sent, timeout=PATIENCE)
    equal(answer, b"")
    initial, trailing = dict(call.initial_metadata()), dict(call.trailing_metadata())
    equal(initial["x-echo-text"], "some text")
    equal(initial["x-echo-bin"], b"\x00\x01\xfe\xff")
    equal(trailing["x-trailer"], "end")
    equal(trailing["x-trailer-bin"], b"\x00\xff\xab")


def repeated_metadata():
    sent = (("x-list", "one"), ("x-list", "two"))
    equal(unary("metadata")(b"x-list", metadata=sent, timeout=PATIENCE), b"one,two")


def large_metadata():
    sent = [(f"x-large-{number}", "v" * 1500) for number in range(4)]
    answer = unary("metadata")(b"x-large-3", metadata=sent, timeout=PATIENCE)
    equal(answer, b"v" * 1500)


def forwarded_host():
    equal(unary("authority")(b"", timeout=PATIENCE), HOST.encode())


def every_status():
    for code in CODES:
        request = b"%d because of %d" % (code.value[0], code.value[0])
        text = f"because of {code.value[0]}"
        fails(lambda: unary("fail")(request, timeout=PATIENCE), code, text)


def status_text():
    text = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    call = lambda: unary("fail")(b"2 " + text.encode(), timeout=PATIENCE)
    fails(call, grpc.StatusCode.UNKNOWN, text)


def unknown(method):
    call = CHANNEL.unary_unary(method)
    fails(lambda: call(b"", timeout=PATIENCE), grpc.StatusCode.UNIMPLEMENTED)


def was_cancelled(name):
    equal(unary("was_cancelled")(name, timeout=PATIENCE), b"yes")


def cancel_before_answer():
    call = unary("wait_for_cancel").future(b"before the answer", timeout=PATIENCE)
    equal(unary("has_begun")(b"before the answer", timeout=PATIENCE), b"yes")
    call.cancel()
    fails_cancelled(call)
    was_cancelled(b"before the answer")


def fails_cancelled(call):
    try:
        call.result()
    except grpc.FutureCancelledError:
        return
    raise AssertionError("it was not cancelled")


def cancel_within_answer():
    with channel() as own:
        answers = to_client("stream_until_cancelled", own)(b"within the answer", timeout=PATIENCE)
        equal(next(answers), b"began")
        answers.cancel()
        fails(lambda: next(answers), grpc.StatusCode.CANCELLED)
        # The channel stays open: the cancellation of the call must be enough.
        was_cancelled(b"within the answer")


def deadline():
    call = lambda: unary("wait_for_cancel")(b"by its deadline", timeout=4)
    fails(call, grpc.StatusCode.DEADLINE_EXCEEDED)
    was_cancelled(b"by its deadline")


def stream_to_client(number):
    answers = to_client("count")(b"%d" % number, timeout=PATIENCE)
    equal(list(answers), [b"%d" % index for index in range(number)])


def stream_fails_late():
    answers = to_client("fail_after")(b"it broke", timeout=PATIENCE)
    equal(next(answers), b"first")
    fails(lambda: next(answers), grpc.StatusCode.DATA_LOSS, "it broke")


def stream_from_client():
    requests = (b"x" * size for size in range(1000))
    equal(from_client("add_up")(requests, timeout=PATIENCE), b"%d" % sum(range(1000)))


def no_message_from_client():
    equal(from_client("add_up")(iter(()), timeout=PATIENCE), b"0")


def early_answer():
    """The server answers after the first message, while the client would send for ever."""
    ended = threading.Event()

    def requests():
        yield b"the first"
        while not ended.wait(0.01):
            yield b"x" * 10_000

    equal(from_client("first_only")(requests(), timeout=PATIENCE), b"the first")
    ended.set()


def ping_pong():
    asked = threading.Semaphore(0)

    def requests():
        for number in range(100):
            asked.acquire()
            yield b"%d" % number * (number * 7 + 1)

    answers = both("converse")(requests(), timeout=PATIENCE)
    for number in range(100):
        asked.release()
        equal(next(answers), b"%d" % number * (number * 7 + 1))
    equal(list(answers), [])


def empty_stream():
    equal(list(both("converse")(iter(()), timeout=PATIENCE)), [])


def flood_both_ways():
    requests = [b"x" * 50_000] * 200
    equal(list(both("converse")(iter(requests), timeout=PATIENCE)), requests)


def refused_stream():
    answers = both("refuse_stream")(iter([b"a", b"b"]), timeout=PATIENCE)
    fails(lambda: next(answers), grpc.StatusCode.PERMISSION_DENIED, "not you")


def parallel_calls():
    calls = [unary("echo").future(b"call %d" % number, timeout=PATIENCE) for number in range(64)]
    equal([call.result() for call in calls], [b"call %d" % number for number in range(64)])


def calls_in_a_row():
    with channel() as own:
        for number in range(300):
            equal(unary("echo", own)(b"%d" % number, timeout=PATIENCE), b"%d" % number)


CASES = [
    ("empty message", lambda: message(b"")),
    ("small message", lambda: message(b"hello")),
    ("5 MiB both ways", large_both_ways),
    ("6 MiB one way", one_way),
    ("gzip", compressed),
    ("metadata and trailers, text and binary", all_metadata),
    ("metadata given twice", repeated_metadata),
    ("large metadata", large_metadata),
    ("the host is forwarded", forwarded_host),
    ("every status", every_status),
    ("special characters in a status", status_text),
    ("unknown method", lambda: unknown("/aop.Test/nothing")),
    ("unknown service", lambda: unknown("/aop.Nothing/nothing")),
    ("cancelled before the answer", cancel_before_answer),
    ("cancelled within the answer", cancel_within_answer),
    ("deadline", deadline),
    ("stream to the client", lambda: stream_to_client(1000)),
    ("empty stream to the client", lambda: stream_to_client(0)),
    ("stream that fails late", stream_fails_late),
    ("stream from the client", stream_from_client),
    ("empty stream from the client", no_message_from_client),
    ("early answer to a stream", early_answer),
    ("message by message both ways", ping_pong),
    ("empty stream both ways", empty_stream),
    ("10 MB both ways at once", flood_both_ways),
    ("refused stream", refused_stream),
    ("64 calls at once", parallel_calls),
    ("300 calls in a row", calls_in_a_row),
]
report(CASES, parallel=6)
