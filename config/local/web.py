"""The web server on a listening socket that the runner holds open.

So the port is nobody else's from the first moment, and a request that comes while the server is
started again waits instead of being refused.
"""

import socket
import sys

import uvicorn

GRACE_SECONDS = 2  # for open streams when it is asked to end


def main() -> None:
    """Command line: the number of the inherited socket."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    config = uvicorn.Config(
        "config.asgi:application",
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,  # addresses of people, and ids that open pipelines, stand in no log
        timeout_graceful_shutdown=GRACE_SECONDS,
        proxy_headers=False,  # forwarded addresses are read by NUM_PROXIES alone
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
