"""How large and how slow a request may be. The protocol, the ASGI wrapper and the middleware all read these."""

from typing import Final

KIB: Final = 1024

# A head: the request line and the headers. Parsing some of them is quadratic, in Python and in Django.
MAX_HEAD: Final = 16 * KIB  # bytes, all together
MAX_TARGET: Final = 8 * KIB  # bytes of the path and the query
MAX_HEADERS: Final = 100
MAX_HEADER: Final = 8 * KIB  # bytes of one value,
NARROWER: Final = {  # or fewer, where a longer one serves no client
    # Python's unquoting of cookies was quadratic before 3.11.10 (CVE-2024-7592); at this size it costs 60 ms.
    b"cookie": 4 * KIB,
    b"content-type": 256,
    b"host": 300,  # a name has 253 characters at most
}
HEAD_SECONDS: Final = 10.0  # for the whole head, from the connection's or the head's first byte

# A body. Between two looks at the clock at least PACE_BYTES must have come, or the rest.
PACE_SECONDS: Final = 10.0
PACE_BYTES: Final = 64 * KIB  # in that time: 6.5 kB a second, the slowest of phones
BODY_SECONDS: Final = 120.0  # for the whole body
IN_MEMORY: Final = 64 * KIB  # of one body; a larger one lies in a temporary file
ALL_BODIES: Final = 256 * KIB * KIB  # bytes of all bodies that are read or worked on in one process,
CLIENT_BODIES: Final = ALL_BODIES // 4  # and of one client's, but in the demo
FORM_BODY: Final = 256 * KIB  # of application/x-www-form-urlencoded: parsing takes thirty times the memory

# Parts of a multipart body.
MAX_PARTS: Final = 250  # the admin's largest form has about a hundred
MAX_PART_HEAD: Final = KIB  # bytes of one part's headers

# A connection.
MAX_PIPELINED: Final = 8  # requests that wait behind one that is being answered
WRITE_SECONDS: Final = 30.0  # in which a client has to take what it was sent
DRAIN_BYTES: Final = 64 * KIB * KIB  # read away at most this much of a body that is refused,
DRAIN_SECONDS: Final = 5.0  # and for no longer than this
