"""The statements of circuits: a row for each provider, and the jobs that wait for one."""

from typing import Final

from pipeline.db import Statement
from pipeline.statements import MAY_BEGIN, NOTE, OPEN_CIRCUIT, PIPE, TYPES

FIND: Final = Statement(
    "SELECT openings, opened_at, retry_at, now() AS now FROM pipeline_circuit"
    " WHERE provider = %(provider)s AND opened_at IS NOT NULL",
    TYPES,
)
# One of those who come at the same time moves it on, and so has the probe.
TAKE_PROBE: Final = Statement(
    "UPDATE pipeline_circuit SET retry_at = now() + %(margin)s"
    " WHERE provider = %(provider)s AND opened_at IS NOT NULL AND retry_at <= now()",
    TYPES,
)
GIVE_BACK: Final = Statement(
    "UPDATE pipeline_circuit SET retry_at = now() WHERE provider = %(provider)s AND opened_at IS NOT NULL", TYPES
)
# Makes the row if need be, and locks it.
LOCK: Final = Statement(
    "INSERT INTO pipeline_circuit AS c (provider, failures, failing, openings) VALUES (%(provider)s, 0, '[]', 0)"
    " ON CONFLICT (provider) DO UPDATE SET provider = c.provider"
    " RETURNING failures, failing, openings, opened_at, retry_at, clock_timestamp() AS now",
    TYPES,
)
WRITE: Final = Statement(
    "UPDATE pipeline_circuit SET failures = %(failures)s, failing = %(failing)s, openings = %(openings)s,"
    " opened_at = %(opened_at)s, retry_at = %(retry_at)s, error = %(error)s WHERE provider = %(provider)s",
    TYPES,
)
CLOSE: Final = Statement(
    "WITH old AS (SELECT provider, opened_at FROM pipeline_circuit"
    "             WHERE provider = %(provider)s AND failures > 0 FOR NO KEY UPDATE)"
    " UPDATE pipeline_circuit c SET failures = 0, failing = '[]', openings = 0, opened_at = NULL,"
    "   retry_at = NULL, error = NULL"
    " FROM old WHERE c.provider = old.provider RETURNING old.opened_at",
    TYPES,
)

# A provider's circuit is open: the job waits untouched until `until`, a stage not beyond its deadline. After the
# decision a person is told once it has waited for long.
HOLD_BACK: Final = Statement(
    f"""
WITH {PIPE},
found AS (
    SELECT n.name, %(begin_verb)s <> 'stage' AND NOT n.attention
               AND now() - CASE WHEN n.state = %(begin_state)s THEN n.verb_started_at ELSE a.updated_at END
                   >= %(attention_after)s AS mark,
           CASE WHEN a.state = 'staging' THEN LEAST(%(until)s, a.deadline_at) ELSE %(until)s END AS due_at
    FROM pipe a, pipeline_step n
    WHERE {MAY_BEGIN} AND EXISTS ({OPEN_CIRCUIT})
),
held AS (
    UPDATE pipeline_step s
    SET due_at = found.due_at, hints_seen = pipe.hints, error = %(error)s, attention = s.attention OR found.mark
    FROM pipe, found
    WHERE s.pipeline_id = %(pipeline)s AND s.name = found.name AND s.owner IS NULL AND s.state = ANY(%(begin_from)s)
    RETURNING s.name, s.due_at, found.mark
),
told AS (
    SELECT 1 AS ord, 'attention' AS type, held.name AS step, NULL::int AS attempt, %(error)s AS data
    FROM held WHERE held.mark
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + (SELECT count(*) FROM told), published = 0, attention = p.attention + held.mark::int,
        attention_told_at = CASE WHEN held.mark THEN NULL ELSE p.attention_told_at END,
        due_at = CASE WHEN p.state IN ('staging', 'waiting') THEN held.due_at ELSE LEAST(p.due_at, held.due_at) END
    FROM held WHERE p.id = %(pipeline)s
),
{NOTE}
SELECT held.due_at FROM held""",
    TYPES,
)
