"""Decodes the first bytes of a connection with the package proxy-protocol. Prints the fields of the
header and its length as JSON."""

import asyncio
import json
import sys
import types


def crc32c(data, crc=0):
    """The checksum, bit by bit. The package uses another package for it, which needs a compiler."""
    crc ^= 0xFFFFFFFF
    for byte in bytes(data):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


assert crc32c(b"123456789") == 0xE3069283
sys.modules["crc32c"] = types.SimpleNamespace(crc32c=crc32c)

from proxyprotocol.detect import ProxyProtocolDetect  # noqa: E402
from proxyprotocol.reader import ProxyProtocolReader  # noqa: E402
from proxyprotocol.v1 import ProxyProtocolV1  # noqa: E402
from proxyprotocol.v2 import ProxyProtocolV2  # noqa: E402


async def main():
    stream = asyncio.StreamReader()
    bytes_read = sys.stdin.buffer.read()
    stream.feed_data(bytes_read)
    stream.feed_eof()
    versions = [ProxyProtocolV2(), ProxyProtocolV1()]
    result = await ProxyProtocolReader(ProxyProtocolDetect(*versions)).read(stream)
    tlv, ssl = result.tlv, result.tlv.ssl
    certificate = ssl.get(0x28)
    end = lambda address: [str(address[0]), address[1]]
    json.dump(
        {
            "version": 2 if bytes_read.startswith(b"\r\n") else 1,
            "source": end(result.source),
            "destination": end(result.dest),
            "alpn": tlv.alpn and tlv.alpn.decode(),
            "authority": tlv.authority,
            "has_sum": tlv.crc32c is not None,
            "client": ssl.client,
            "verified": ssl.verified,
            "tls": ssl.version,
            "cipher": ssl.cipher,
            "common_name": ssl.cn,
            "certificate": certificate and certificate.hex(),
            "length": len(bytes_read) - len(await stream.read()),
        },
        sys.stdout,
    )


asyncio.run(main())
