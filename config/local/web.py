"""The web server on a listening socket that the runner holds open.

So the port is nobody else's from the first moment, and a request that comes while the server is
started again waits instead of being refused.
"""

import socket
import sys

from config.web.server import run

GRACE_SECONDS = 2  # for requests under way when it is asked to end


def main() -> None:
    """Command line: the number of the inherited socket."""
    listening = socket.socket(fileno=int(sys.argv[1]))
    run(sockets=[listening], grace=GRACE_SECONDS)


if __name__ == "__main__":
    main()
