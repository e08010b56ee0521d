"""Loopback ports."""

import pytest

from config.local import ports


def test_a_default_port_that_is_taken_leads_to_the_next_free_one():
    with ports.listen(ports.free_port(), 0) as taken:
        number = taken.getsockname()[1]
        with ports.listen(None, number) as found:
            assert found.getsockname()[1] > number


def test_a_port_that_was_asked_for_and_is_taken_is_refused_with_advice():
    with ports.listen(ports.free_port(), 0) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ports.PortTakenError, match=f"Port {number} is used by another program: .*--port"):
            ports.listen(number, 0)


def test_free_ports_lie_below_the_ephemeral_ones():
    assert {ports.FIRST <= ports.free_port() < ports.LAST for _ in range(20)} == {True}
