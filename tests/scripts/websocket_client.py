"""WebSocket cases through aop with the client of `websockets`."""

import asyncio

import websockets
from edge import HOST, PATIENCE, Edge, report

EDGE = Edge()
LARGEST = 8 << 20


def open_at(path, **options):
    host, port = EDGE.address
    options = {"ping_interval": None, "max_size": LARGEST, **options}
    return websockets.connect(
        f"wss://{HOST}{path}",
        host=host,
        port=port,
        ssl=EDGE.tls("http/1.1"),
        server_hostname=HOST,
        **options,
    )


async def echoes(message, **options):
    async with open_at("/echo", **options) as socket:
        await socket.send(message)
        whole = message if isinstance(message, (str, bytes)) else b"".join(message)
        assert await socket.recv() == whole


async def many_messages():
    async with open_at("/echo") as socket:
        sent = [f"message {number} " * (number % 50) for number in range(300)]

        async def send():
            for message in sent:
                await socket.send(message)

        sending = asyncio.create_task(send())
        assert [await socket.recv() for _ in sent] == sent
        await sending


async def client_pings():
    async with open_at("/echo") as socket:
        for number in range(20):
            await (await socket.ping(b"ping %d" % number))


async def server_pings():
    async with open_at("/ping") as socket:
        assert await socket.recv() == "the pong came"


async def subprotocol():
    async with open_at("/protocol", subprotocols=["chat.v1", "chat.v2"]) as socket:
        assert socket.subprotocol == "chat.v2"
        assert await socket.recv() == "chat.v2"


async def server_closes(code):
    async with open_at(f"/close/{code}") as socket:
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (code, "because"), socket.close_code


async def client_closes():
    socket = await open_at("/echo")
    await socket.close(4321, "enough")
    assert socket.close_code == 4321, socket.close_code


async def connection_lost():
    async with open_at("/cut") as socket:
        await socket.wait_closed()
        assert socket.close_code == 1006, socket.close_code


async def refused():
    try:
        async with open_at("/refused"):
            raise AssertionError("it was opened")
    except websockets.InvalidStatusCode as error:
        assert error.status_code == 403 and error.headers["X-Reason"] == "policy", error


async def twenty_at_once():
    await asyncio.gather(*(echoes(f"socket {number} " * 1000) for number in range(20)))


def case(name, coroutine, *arguments, **options):
    return name, lambda: asyncio.run(asyncio.wait_for(coroutine(*arguments, **options), PATIENCE))


report(
    [
        case("text", echoes, "Grüße, 世界"),
        case("binary, without compression", echoes, bytes(range(256)) * 300, compression=None),
        case("4 MiB", echoes, bytes(range(256)) * (16 << 10), compression=None),
        case("in fragments", echoes, [b"one ", b"two ", b"three"]),
        case("300 messages", many_messages),
        case("pings of the client", client_pings),
        case("pings of the server", server_pings),
        case("subprotocol", subprotocol),
        case("the server closes with 1001", server_closes, 1001),
        case("the client closes with 4321", client_closes),
        case("the connection is cut", connection_lost),
        case("refused with 403", refused),
        case("twenty at once", twenty_at_once),
    ],
    parallel=4,
)
