"""Pipeline ids: UUID version 7 (RFC 9562), sorted by time, with 74 random bits: unguessable."""

import secrets
import time
import uuid


def new_pipeline_id() -> uuid.UUID:
    """A UUIDv7: 48 bits of Unix milliseconds, then random bits from the system's generator."""
    milliseconds = time.time_ns() // 1_000_000
    value = (milliseconds & 0xFFFF_FFFF_FFFF) << 80
    value |= 0x7 << 76 | secrets.randbits(12) << 64
    value |= 0b10 << 62 | secrets.randbits(62)
    return uuid.UUID(int=value)
