"""A database with many finished pipelines and a few that are under way, and the plans of what is asked of it."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.test import Client

from pipeline import db as statements
from pipeline.models import Pipeline

FINISHED = 12_000
LARGE = ("pipeline_pipeline", "pipeline_step", "pipeline_event", "postings_posting", "pipeline_inbox")
# Partial indexes that hold what is unfinished, marked or to do: walking them whole is walking a few rows.
INTERVALS = {"grace", "again", "cap"}  # parameters whose type PostgreSQL cannot tell from the statement
FEW = {"pipeline_due", "pipeline_attention", "step_owned", "posting_to_expire"}

FILL = f"""
INSERT INTO postings_plan (slug, name, amount, currency, duration_days, is_on_sale)
VALUES ('crowd', 'Crowd', 9900, 'EUR', 30, true);

CREATE TEMPORARY TABLE crowd ON COMMIT DROP AS
SELECT n, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid AS id,
       now() - n * interval '10 minutes' AS at, n <= 12 AS is_open
FROM generate_series(1, {FINISHED}) n;

INSERT INTO pipeline_pipeline (id, workflow, version, scope, key, fingerprint, client, state, input, secrets,
    step_count, cursor, pivots, effects, tells, seq, hints, attention, due_at, published, deadline_at, is_cancelled,
    created_at, updated_at, finished_at)
SELECT id, CASE WHEN n % 1000 = 0 THEN 'ledger_order' ELSE 'publish_posting' END, 1, 'anonymous', 'crowd-' || n,
    'x', md5((n % 500)::text), CASE WHEN is_open THEN 'staging' ELSE 'committed' END, '{{"title": "Crowd"}}', '{{}}',
    2, CASE WHEN is_open THEN 0 ELSE 2 END, 0, 0, 0, 3, 0, (n % 4000 = 1)::int, CASE WHEN is_open THEN at END, 0, at,
    false, at, at, CASE WHEN NOT is_open THEN at END
FROM crowd;

INSERT INTO pipeline_step (pipeline_id, position, name, kind, args, label, doing, wave, undo_pending, state, data,
    calls, attention, stage_attempts, commit_attempts, rollback_attempts, fence, hints_seen)
SELECT id, p, CASE p WHEN 0 THEN 'posting' ELSE 'payment' END, CASE p WHEN 0 THEN 'posting' ELSE 'payment' END, '{{}}',
    'Label', 'doing', CASE p WHEN 0 THEN 1 ELSE 0 END, false, CASE WHEN is_open THEN 'pending' ELSE 'committed' END,
    jsonb_build_object('intent', 'pi_' || n), '{{}}', false, 1, 1, 0, 2, 0
FROM crowd, generate_series(0, 1) p;

INSERT INTO pipeline_event (pipeline_id, seq, at, type, step, attempt, data)
SELECT id, s, at, 'staged', 'posting', 1, '{{}}' FROM crowd, generate_series(1, 3) s;

INSERT INTO pipeline_inbox (provider, event_id, received_at, kind, data, pipeline_id)
SELECT 'stripe', 'evt_' || n, at, 'charge.updated', '{{}}', id FROM crowd;

INSERT INTO postings_posting (id, pipeline_id, slug, state, title, company_name, company_website, description,
    employment_type, location, country, remote, salary_currency, salary_unit, apply_url, apply_email, plan_id,
    logo_key, created_at, published_at, expires_at, ended_by, ended_at, is_erased)
SELECT id, id, 'crowd-' || n, CASE WHEN n > 4000 THEN 'expired' ELSE 'published' END, 'Crowd', 'Company', '', 'Text',
    'FULL_TIME', '', 'DE', false, '', '', '', 'jobs@example.com', plan.plan_id, '', at, at, at + interval '30 days',
    CASE WHEN n > 4000 THEN id END, CASE WHEN n > 4000 THEN at + interval '30 days' END, false
FROM crowd, (SELECT id AS plan_id FROM postings_plan WHERE slug = 'crowd') plan
WHERE NOT is_open;

SET CONSTRAINTS ALL IMMEDIATE;
ANALYZE pipeline_pipeline, pipeline_step, pipeline_event, pipeline_inbox, postings_posting"""


@pytest.fixture(scope="module")
def crowd(django_db_setup, django_db_blocker) -> Iterator[None]:
    """Made once for all tests of this folder, which only read, and taken back."""
    with django_db_blocker.unblock():
        assert connection.settings_dict["NAME"].startswith("test_"), "a test here lacks the mark django_db"
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = 0")
                for statement in FILL.split(";\n\n"):
                    cursor.execute(statement.replace("SET CONSTRAINTS ALL IMMEDIATE;\n", ""))
                User.objects.create_superuser("plans", password="plans")
            yield
            transaction.set_rollback(True)
        connection.close()


@pytest.fixture
def some(crowd) -> Pipeline:
    """One of the finished pipelines."""
    return Pipeline.objects.get(key="crowd-7000")


@pytest.fixture
def staff(crowd) -> Client:
    client = Client()
    client.force_login(User.objects.get(username="plans"))
    return client


class Plans:
    """Every statement of the block, with the plan that the server makes for it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def nodes(self) -> Iterator[tuple[str, dict[str, Any], list[dict[str, Any]]]]:
        """(statement, node, those above it) of all plans."""
        for sql, plan in self.asked:
            yield from ((sql, node, above) for node, above in _nodes(plan, []))

    def walks(self) -> list[str]:
        """What grows with a large table: read whole, or along an index that does not narrow it down."""
        return [
            f"{node['Node Type']} on {node['Relation Name']} by {sql}"
            for sql, node, above in self.nodes()
            if _is_walk(node) and not _ends_soon(node, above)
        ]


def _nodes(node: dict[str, Any], above: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], list[dict[str, Any]]]]:
    yield node, above
    for below in node.get("Plans", []):
        yield from _nodes(below, [*above, node])


def _is_walk(node: dict[str, Any]) -> bool:
    if node.get("Relation Name") not in LARGE or node.get("Index Name") in FEW:
        return False
    kind = node["Node Type"]
    return kind == "Seq Scan" or (kind.startswith("Index") and "Index Cond" not in node)


def _ends_soon(node: dict[str, Any], above: list[dict[str, Any]]) -> bool:
    """A limit stops it after a fraction: a page of what most rows are, or of the newest."""
    limits = [up["Total Cost"] for up in above if up["Node Type"] == "Limit"]
    return any(cost * 5 < node["Total Cost"] for cost in limits)


@pytest.fixture
def plans(crowd, monkeypatch) -> Callable[[], Any]:
    """`with plans() as found:` gathers the plans of what the block asks; the engine's statements' are generic ones."""

    @contextmanager
    def gathering() -> Iterator[Plans]:
        found = Plans()
        with connection.execute_wrapper(_explaining(found)):
            yield found

    return gathering


def _explaining(found: Plans) -> Callable[..., Any]:
    def wrapper(execute: Any, sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        if sql.split(maxsplit=1)[0].upper() in ("SELECT", "UPDATE", "DELETE", "INSERT", "WITH"):
            with context["connection"].connection.cursor() as cursor:
                plan = cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}", params).fetchone()[0]
            plan = json.loads(plan) if isinstance(plan, str) else plan  # as Django's connections hand it over
            found.asked.append((sql, plan[0]["Plan"]))
        return execute(sql, params, many, context)

    return wrapper


@pytest.fixture
def plan_of(crowd) -> Callable[[statements.Statement], Plans]:
    """The plan of one of the engine's statements, beside many finished pipelines."""
    return generic_plan


def generic_plan(statement: statements.Statement) -> Plans:
    """The plan of one of the engine's statements, which does not depend on its parameters."""
    types = ", ".join("interval" if name in INTERVALS else "unknown" for name in statement.names)
    nothing = ", ".join(["NULL"] * len(statement.names))
    sql = statement._sql.decode()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        raw = cursor.connection.cursor()
        raw.execute(f"PREPARE asked ({types}) AS {sql}".encode())
        plan = raw.execute(f"EXPLAIN (FORMAT JSON) EXECUTE asked ({nothing})").fetchone()[0]
        plan = json.loads(plan) if isinstance(plan, str) else plan
        raw.execute("DEALLOCATE asked")
    found = Plans()
    found.asked.append((sql[:200], plan[0]["Plan"]))
    return found
