"""A WebSocket server that echoes messages: `websocket_server.py IP:PORT`."""

import asyncio
import http
import sys

import websockets

LARGEST = 8 << 20


async def serve(socket):
    if socket.path == "/protocol":
        await socket.send(socket.subprotocol or "none")
    if socket.path == "/ping":
        await asyncio.wait_for(await socket.ping(b"from the server"), 20)
        await socket.send("the pong came")
    if socket.path.startswith("/close/"):
        await socket.close(int(socket.path.rsplit("/", 1)[1]), "because")
        return
    if socket.path == "/cut":
        socket.transport.abort()
        return
    async for message in socket:
        if message == "close yourself":
            await socket.close(4999, "as you asked")
        else:
            await socket.send(message)


async def refuse(path, _headers):
    if path == "/refused":
        return http.HTTPStatus.FORBIDDEN, [("X-Reason", "policy")], b"no\n"
    return None


async def main():
    host, port = sys.argv[1].rsplit(":", 1)
    server = await websockets.serve(
        serve,
        host,
        int(port),
        max_size=LARGEST,
        subprotocols=["chat.v2"],
        process_request=refuse,
        ping_interval=None,
    )
    print("listens", flush=True)
    await server.wait_closed()


asyncio.run(main())
