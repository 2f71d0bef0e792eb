"""The arguments of scripts that play the edge, its TLS, and the report of cases."""

import argparse
import concurrent.futures
import socket
import ssl
import sys
import traceback

HOST = "example.com"
PATIENCE = 30


class Edge:
    """The address of aop and the certificates of the edge."""

    def __init__(self, *more):
        parser = argparse.ArgumentParser()
        for name in ("--address", "--ca", "--certificate", "--key", *more):
            parser.add_argument(name, required=True)
        self.arguments = parser.parse_args()
        host, port = self.arguments.address.rsplit(":", 1)
        self.address = (host, int(port))

    def tls(self, *protocols):
        """A TLS context that offers `protocols` by ALPN."""
        context = ssl.create_default_context(cafile=self.arguments.ca)
        context.load_cert_chain(self.arguments.certificate, self.arguments.key)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context

    def connect(self, *protocols):
        """A TLS connection to aop for HOST."""
        plain = socket.create_connection(self.address, PATIENCE)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.tls(*protocols).wrap_socket(plain, server_hostname=HOST)


def report(cases, parallel=1, then=()):
    """Runs `cases`, pairs of a name and a function, and then those of `then`, one by one. Prints a
    line for each, and exits."""

    def attempt(case):
        name, act = case
        try:
            act()
        except Exception:
            why = traceback.format_exc().replace("\n", " | ")
            return f"failed {name}: {why}"
        return f"ok {name}"

    with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
        lines = list(pool.map(attempt, cases))
    lines += map(attempt, then)
    print("\n".join(lines), flush=True)
    sys.exit(any(line.startswith("failed") for line in lines))
