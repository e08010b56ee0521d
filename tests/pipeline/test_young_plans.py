"""A new shop's first minutes: plans made while the tables are nearly empty are kept until they are analysed again."""

import re
from datetime import timedelta

import pytest
from django.db import connection, transaction

from pipeline import db, statements, transitions
from pipeline.states import Verb
from tests.scale.conftest import generic_plan

KNOWN, MINUTE = "{any}", timedelta(minutes=1)


def claim(verb):
    return transitions._claim(verb, KNOWN, "{}", MINUTE, despite=False)


def advance(verb, then):
    return transitions._advance(verb, then, KNOWN, MINUTE, MINUTE, is_skipped=False, calls=then is not None)


HOT = {
    "claim": claim(Verb.STAGE),
    "stage, stage": advance(Verb.STAGE, Verb.STAGE),
    "stage, commit": advance(Verb.STAGE, Verb.COMMIT),
    "commit, commit": advance(Verb.COMMIT, Verb.COMMIT),
    "rollback": advance(Verb.ROLLBACK, None),
    "record": statements.RECORD,
    "fail": statements.FAIL,
}


@pytest.fixture
def as_worker(begin, posting, monkeypatch):
    """Ten pipelines, analysed; then a session as workers have it."""
    for _ in range(10):
        begin(posting)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE pipeline_pipeline, pipeline_step")
            for name, value in as_workers_wish(monkeypatch).items():
                cursor.execute(f"SET LOCAL {name} = {value}")
        yield
        transaction.set_rollback(True)


def as_workers_wish(monkeypatch):
    """What go_by_index asks of sessions that are opened from then on."""
    monkeypatch.setattr(db, "wishes", dict(db.wishes))
    db.go_by_index()
    return db.wishes


@pytest.mark.parametrize("name", HOT)
def test_a_job_finds_its_rows_by_the_pipelines_id(name, as_worker):
    nodes = [node for _, node, _ in generic_plan(HOT[name]).nodes() if "Scan" in node["Node Type"]]
    found = [node for node in nodes if node.get("Relation Name") in ("pipeline_pipeline", "pipeline_step")]
    assert found
    for node in found:
        assert node["Node Type"] == "Index Scan"
        assert re.search(r"\bid = \$|pipeline_id = \$", node["Index Cond"])
