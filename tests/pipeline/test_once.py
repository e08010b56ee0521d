"""One thing a process, however many threads ask for it first."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.once import Once

THREADS = 4


def test_threads_that_begin_together_get_one_thing():
    made, all_here = [], threading.Barrier(THREADS)
    is_made = threading.Event()

    @Once
    def thing():
        made.append(object())
        is_made.wait(0.2)  # nobody sets it: the others have time to come in
        return made[-1]

    def ask(_):
        all_here.wait(10)
        return thing()

    with ThreadPoolExecutor(THREADS) as threads:
        got = set(threads.map(ask, range(THREADS)))
    assert got == set(made)
    assert len(made) == 1


def test_a_maker_that_fails_is_asked_again():
    answers = iter([OSError("not yet"), "made"])

    @Once
    def thing():
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    with pytest.raises(OSError, match="not yet"):
        thing()
    assert thing() == thing() == "made"


def test_it_is_made_anew_once_it_is_cleared():
    count = iter(range(2))
    thing = Once(lambda: next(count))
    assert (thing(), thing()) == (0, 0)
    thing.cache_clear()
    assert thing() == 1
