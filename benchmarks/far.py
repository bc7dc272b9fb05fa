"""A relay that makes a server far away: each byte arrives half a round trip later. It prints its port.

Arguments: the server's host:port, and the milliseconds of a round trip.
"""

import asyncio
import sys


async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, seconds: float) -> None:
    """Pass on what comes, later, until one side leaves."""
    loop = asyncio.get_event_loop()
    while True:
        piece = await reader.read(65536)
        if not piece:
            loop.call_later(seconds, writer.close)
            return
        loop.call_later(seconds, writer.write, piece)


async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve one connection. The handshake of TCP takes a round trip, too, before the first byte passes."""
    host, port = sys.argv[1].split(":")
    half = float(sys.argv[2]) / 2000
    await asyncio.sleep(2 * half)
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    await asyncio.gather(carry(reader, far_writer, half), carry(far_reader, writer, half))


async def main() -> None:
    """Serve until the process is killed."""
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
