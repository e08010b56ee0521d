"""The web server: `python -m config.web --host 0.0.0.0 --port 8000`."""

import argparse

from config.web.server import run


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m config.web", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address to listen at (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="the port (8000)")
    where = parser.parse_args()
    run(host=where.host, port=where.port)


if __name__ == "__main__":
    main()
