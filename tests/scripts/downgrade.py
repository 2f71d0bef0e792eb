"""HTTP/2 requests that are dangerous in HTTP/1.1: does one of them become two, or another one?

Each case is a request on a stream of its own, beside an upload that lives. `passes` is a case that
must reach the application as exactly this request; `refused` must not reach it. `cut` may begin
there, but never be complete. `empty` may be complete, but without a body. The application's own
parser is h11.
"""

from edge import HOST, Edge, report
from frames import NO_ERROR, PROTOCOL_ERROR, Peer, request
from records import settled

EDGE = Edge("--record")
HIDDEN = b"GET /m/9999/hidden HTTP/1.1\r\nHost: example.com\r\n\r\n"
CASES = []
# By the number of the case: whether aop refused it.
OUTCOMES = {}


def case(name, expected, fields, body=None, trailers=None):
    CASES.append((name, expected, fields, body, trailers))


def path(suffix=""):
    return f"/m/{len(CASES):04}/a{suffix}"


def get(name, expected, *fields):
    case(name, expected, request("GET", path(), *fields))


def post(name, expected, *fields, body=HIDDEN, trailers=None):
    case(name, expected, request("POST", path(), *fields), body, trailers)


def lengths():
    for value in ("0", "00"):
        post(f"length {value} of another body", "empty", ("content-length", value))
    for value in ("3", "4294967346", "18446744073709551666", "99999999999999999999"):
        post(f"length {value} of another body", "cut", ("content-length", value))
    for value in (
        "-1",
        "+50",
        "0x32",
        "50,50",
        "50, 50",
        "5 0",
        "50;",
        "",
        "x",
        "5e1",
        "50.0",
        "\t50x",
    ):
        post(f"length {value!r}", "refused", ("content-length", value))
    right = str(len(HIDDEN))
    post("right length", "passes", ("content-length", right))
    post("length with zeros", "passes or refused", ("content-length", "00" + right))
    post("equal lengths twice", "passes or refused", *[("content-length", right)] * 2)
    post("two lengths", "refused", ("content-length", right), ("content-length", "0"))
    post(
        "two lengths, the wrong one first",
        "refused",
        ("content-length", "0"),
        ("content-length", right),
    )
    post("no length", "passes")
    get("length without a body", "refused", ("content-length", "50"))
    get("length of 0 without a body", "passes", ("content-length", "0"))
    case("length and an empty DATA", "cut", request("POST", path(), ("content-length", "5")), b"")
    for name in ("content_length", "content-length-", "x-content-length", "content length"):
        post(f"name {name}", "passes or refused", (name, "0"))
    for name in ("Content-Length", "CONTENT-LENGTH", "content-length ", " content-length"):
        post(f"name {name!r}", "refused", (name, "0"))


def transfer_encodings():
    values = ("chunked", "identity", "gzip", "gzip, chunked", "chunked, identity", "xchunked")
    values += (
        "Chunked",
        " chunked",
        "chunked ",
        "chunked\x0b",
        "\tchunked",
        "",
        ",",
        "chunked;a=b",
    )
    for value in values:
        post(f"transfer-encoding {value!r}", "refused", ("transfer-encoding", value))
    post(
        "transfer-encoding and length",
        "refused",
        ("transfer-encoding", "chunked"),
        ("content-length", "50"),
    )
    for name in ("transfer_encoding", "transfer-encoding-", "x-transfer-encoding"):
        post(f"name {name}", "passes or refused", (name, "chunked"))
    names = ("Transfer-Encoding", "transfer-encoding ", " transfer-encoding", "transfer-encoding:")
    names += (
        "transfer-encoding\t",
        "transfer\r\n-encoding",
        "transfer\x00-encoding",
        "tranſfer-encoding",
    )
    for name in names:
        post(f"name {name!r}", "refused", (name.encode(), "chunked"))
    for value in ("trailers", "Trailers"):
        post(f"te {value}", "passes or refused", ("te", value))
    for value in ("gzip", "trailers, chunked", "chunked"):
        post(f"te {value}", "refused", ("te", value))


def hop_by_hop():
    for name in ("connection", "keep-alive", "proxy-connection", "upgrade"):
        for value in ("close", "keep-alive", "content-length", "upgrade"):
            get(f"{name}: {value}", "refused", (name, value))
    get("http2-settings", "passes or refused", ("http2-settings", "AAMAAABkAAQAAP__"))
    get("expect", "passes", ("expect", "100-continue"))
    get("another expectation", "passes or refused", ("expect", "x"))


# A byte that ends a line, a name or a value, and a request behind it.
BREAKS = {
    "CR LF": b"\r\n",
    "LF": b"\n",
    "CR": b"\r",
    "NUL": b"\x00",
    "CR LF CR LF": b"\r\n\r\n" + HIDDEN,
    "LF LF": b"\n\n" + HIDDEN,
}


def breaks():
    for name, end in BREAKS.items():
        get(f"{name} in a value", "refused", ("x-field", b"a" + end + b"x: y"))
        get(f"{name} at the end of a value", "refused", ("x-field", b"a" + end))
        get(f"{name} at the start of a value", "refused", ("x-field", end + b"a"))
        get(f"{name} in a name", "refused", (b"x" + end + b"y", "z"))
        get(f"{name} in a cookie", "refused", ("cookie", b"a=b" + end + b"x: y"))
        case(f"{name} in a path", "refused", request("GET", path().encode() + end + b"x: y"))
        case(f"{name} in a method", "refused", request(b"GET" + end, path()))
        case(
            f"{name} in an authority",
            "refused",
            request("GET", path(), authority=HOST.encode() + end),
        )
        case(f"{name} in a scheme", "refused", request("GET", path(), scheme=b"https" + end))
    get("other control bytes in a value", "passes or refused", ("x-field", b"a\x01\x0b\x0c\x7fb"))
    get("white space around a value", "passes or refused", ("x-field", " a\t"))
    get("high bytes in a value", "passes", ("x-field", b"caf\xc3\xa9 \xe9"))


def names():
    for byte in b' "(),/:;<=>?@[\\]{}\x01\x1f\x7f\x80\xff':
        get(f"byte {byte:#x} in a name", "refused", (b"x" + bytes([byte]) + b"y", "z"))
    get("empty name", "refused", ("", "z"))
    get("name of a colon", "refused", (":", "z"))
    get("upper case", "refused", ("X-Upper", "z"))
    get("all marks of a token", "passes", ("x!#$%&'*+-.^_`|~", "z"))
    get("empty value", "passes", ("x-empty", ""))


def targets():
    for name, suffix in (
        ("space", " HTTP/1.1"),
        ("tab", "\tb"),
        ("control byte", "\x01"),
        ("DEL", "\x7f"),
    ):
        case(f"{name} in a path", "refused", request("GET", path(suffix)))
    case("version in a path", "refused", request("GET", path(" HTTP/1.0\r\nx: y")))
    for name, target in (
        ("empty", ""),
        ("relative", "m/9999/a"),
        ("asterisk", "*"),
        ("query", "?a"),
    ):
        case(f"{name} path", "refused", request("GET", target))
    case("absolute path", "refused", request("GET", f"http://{HOST}/m/9999/a"))
    case("two slashes", "passes or refused", request("GET", "/" + path()))
    case("fragment", "passes or refused", request("GET", path("#b")))
    case("quotes and brackets", "passes", request("GET", path('?q="<>^`{|}')))
    case("percent signs", "passes", request("GET", path("/%0d%0a%20%2e%2e/")))
    case("high bytes in a path", "high", request("GET", path().encode() + b"/\xe9"))


def methods():
    for method in ("GET ", " GET"):
        case(f"method {method!r}", "refused", request(method, path()))
    for method in ("", "GET /m/9999/a", "G:T", "G\tT", "G(T", 'G"T', "G\x7fT"):
        case(f"method {method!r}", "refused", request(method, path()))
    case(
        "method CONNECT", "refused", request("CONNECT", None, scheme=None, authority=f"{HOST}:443")
    )
    case("method CONNECT with a path", "refused", request("CONNECT", path()))
    case("extended CONNECT", "refused", [(":protocol", "odd"), *request("CONNECT", path())])
    case("lower case", "passes or refused", request("get", path()))
    case("an own method", "passes", request("M-SEARCH!", path()))


def pseudo_headers():
    for name in (":method", ":scheme", ":path", ":authority"):
        fields = request("GET", path())
        missing = [field for field in fields if field[0] != name]
        value = dict(fields)[name]
        case(f"{name} twice, equal", "refused", [*fields, (name, value)])
        case(f"{name} twice", "refused", [*fields, (name, "/m/9999/b")])
        case(f"{name} behind a field", "refused", [*missing, ("x", "y"), (name, value)])
        case(f"no {name}", "refused", missing)
    case("unknown pseudo-header", "refused", [*request("GET", path()), (":x", "y")])
    case("status", "refused", [*request("GET", path()), (":status", "200")])
    for value in ("", "ftp", "x y", "https://example.com/", "https://example.com/ HTTP/1.1"):
        case(f"scheme {value!r}", "passes or refused", request("GET", path(), scheme=value))


def hosts():
    case("host beside the authority", "passes", request("GET", path(), ("host", HOST)))
    case("host alone", "passes", request("GET", path(), ("host", HOST), authority=None))
    for host in ("example.org", "", "example.com:80", "example.com, example.org"):
        case(
            f"host {host!r} beside the authority", "refused", request("GET", path(), ("host", host))
        )
    white = "passes or refused"
    case("host and a tab", white, request("GET", path(), ("host", "example.com\t")))
    case("two hosts", "refused", request("GET", path(), ("host", HOST), ("host", "example.org")))
    case(
        "equal hosts twice",
        "passes or refused",
        request("GET", path(), ("host", HOST), ("host", HOST)),
    )
    authorities = ("example.org", "example.com@example.org", "user@example.com", "example.com/x")
    authorities += (
        "example.com x",
        "example.com:x",
        "example.com:99999",
        "",
        "[::1",
        "example.com#",
    )
    for authority in authorities:
        case(f"authority {authority!r}", "refused", request("GET", path(), authority=authority))


def trailers():
    post("trailers", "passes", ("trailer", "x-sum"), trailers=[("x-sum", "1")])
    bad = (("content-length", "0"), ("transfer-encoding", "chunked"), ("host", "example.org"))
    for field in (*bad, ("connection", "close"), ("x-sum", "1")):
        post(f"{field[0]} in trailers", "passes or refused", trailers=[field])
    post("LF in trailers", "cut", trailers=[("x-sum", b"1\nx: y")])
    post("CR LF in a trailer's name", "cut", trailers=[(b"x\r\ny", "1")])
    post("pseudo-header in trailers", "cut", trailers=[(":path", "/m/9999/b")])
    post("status in trailers", "cut", trailers=[(":status", "200")])


for part in (
    lengths,
    transfer_encodings,
    hop_by_hop,
    breaks,
    names,
    targets,
    methods,
    pseudo_headers,
    hosts,
    trailers,
):
    part()


def send(index):
    """Sends a case, and notes whether aop passed it on. The living upload must end well."""
    _, _, fields, body, trail = CASES[index]
    peer = Peer(EDGE)
    peer.headers(1, request("POST", f"/m/{index:04}/living"), end=False)
    peer.data(1, b"first ")
    peer.headers(3, fields, end=body is None)
    if body is not None:
        peer.data(3, body, end=trail is None)
    if trail is not None:
        peer.headers(3, trail)
    found = peer.finish(3)
    peer.data(1, b"second", end=True)
    living = peer.finish(1)
    assert living.status() == 200 and peer.goaway is None, f"{vars(living)} {peer.goaway}"
    assert found.reset in (None, NO_ERROR, PROTOCOL_ERROR), found.reset
    refused = found.status() is None or found.status() in (400, 421, 431)
    OUTCOMES[index] = "refused" if refused else "passes"
    peer.close()


def judge_all():
    records = settled(EDGE.arguments.record)
    assert not records.unclaimed(), records.unclaimed()[:3]
    faults = records.wrong_faults()
    assert not faults, faults[:3]
    assert not records.began.get(9999), records.began[9999]
    wrong = []
    for index, each in enumerate(CASES):
        try:
            judge(index, each, records)
        except AssertionError as error:
            wrong.append(f"{each[0]}: {OUTCOMES.get(index)}, {error}")
    assert not wrong, "\n".join(wrong)


def judge(index, each, records):
    _, expected, fields, body, _ = each
    own = lambda lines: [line for line in lines if not line["target"].endswith("/living")]
    began, complete = own(records.began.get(index, [])), own(records.complete[index])
    assert len(began) <= 1, f"{len(began)} requests: {began}"
    outcome = OUTCOMES[index]
    if expected == "high":
        # h11 takes no such target. aop passes it on as it is.
        return
    if expected == "empty":
        # The body may arrive after the head was passed on.
        assert all(line["body"] == "" for line in complete), complete
        return
    assert outcome in expected or expected == "cut", expected
    if expected == "refused":
        assert not began, began
    if expected == "cut":
        assert not complete and outcome == "refused", (complete, began)
    if outcome == "passes":
        assert complete, "it did not arrive"
        seen, pseudo = complete[0], dict(fields[:4])
        known = [seen["method"], seen["target"], seen["body"].encode("latin-1")]
        # aop removes white space around values, and fragments.
        sent = [pseudo[":method"].strip(), pseudo[":path"].split("#")[0], body or b""]
        assert known == sent, f"{known}, not {sent}"
        names = [name.lower() for name, _ in seen["fields"]]
        assert names.count("host") == 1 and dict(seen["fields"])["host"] == HOST, seen["fields"]
        framing = names.count("content-length") + names.count("transfer-encoding")
        assert framing <= 1, seen["fields"]


NAMED = [
    (f"{number} {each[0]}", lambda number=number: send(number)) for number, each in enumerate(CASES)
]
report(NAMED, parallel=4, then=[("the record", judge_all)])
