"""The statements of the sweep: what is due, what is abandoned (pipeline/statements.py explains their shape)."""

from typing import Final

from pipeline.db import Statement
from pipeline.statements import NOTE, PIPE, TYPES

# Taking a pipeline writes its next due time first: publishing comes after, and may be lost.
TAKE_DUE: Final = Statement(
    """
UPDATE pipeline_pipeline p
SET due_at = now() + LEAST(%(again)s * power(2, LEAST(p.published, 16)), %(cap)s),
    published = LEAST(p.published + 1, 1000)
FROM (SELECT id FROM pipeline_pipeline WHERE finished_at IS NULL AND due_at <= now() AND state = ANY(%(states)s)
      ORDER BY due_at LIMIT %(batch)s FOR NO KEY UPDATE SKIP LOCKED) due
WHERE p.id = due.id
RETURNING p.id, p.workflow, p.version, p.state, p.seq, p.hints, p.cursor, p.due_at, p.published, now() AS now""",
    TYPES,
)

STEPS_OF: Final = Statement(
    """
SELECT pipeline_id, name, position, kind, wave, undo_pending, state, owner, lease_until, due_at, hints_seen
FROM pipeline_step WHERE pipeline_id = ANY(%(pipelines)s) ORDER BY pipeline_id, position""",
    TYPES,
)

# Nothing was due after all: look again when the earliest of its jobs is, unless somebody has moved it since.
SETTLE: Final = Statement(
    """
UPDATE pipeline_pipeline SET due_at = %(due_at)s, published = 0
WHERE id = %(pipeline)s AND seq = %(seen_seq)s AND due_at = %(taken)s AND finished_at IS NULL""",
    TYPES,
)

# Jobs whose owner's advisory lock is free, or whose lease has ended. Shortly after a start of PostgreSQL every
# lock is free, so that only leases count then.
ABANDONED: Final = Statement(
    """
SELECT s.pipeline_id, s.name, s.fence, s.owner,
       CASE WHEN s.lease_until < now() THEN 'lease ended' ELSE 'owner gone' END AS why
FROM pipeline_step s
WHERE s.owner IS NOT NULL
  AND (s.lease_until < now()
       OR (pg_postmaster_start_time() < now() - %(grace)s
           AND NOT EXISTS (
               SELECT FROM pg_locks l
               WHERE l.locktype = 'advisory' AND l.classid = %(lock_class)s::oid AND l.objsubid = 2 AND l.granted
                 AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                 AND l.objid::bigint = s.owner)))
LIMIT %(batch)s""",
    TYPES,
)

# A job whose owner is gone, or has held it too long, is free again; the raised fence stops the late owner. It is
# due at once, unless it has cost several workers already: a job that kills its process may do so for ever, and
# its failures are recorded by nobody else.
RELEASE: Final = Statement(
    f"""
WITH {PIPE},
found AS (
    SELECT s.name, t.attempt, s.state <> 'staging' AND NOT s.attention
               AND now() - s.verb_started_at >= %(attention_after)s AS mark,
           CASE WHEN t.attempt > 5
                THEN now() + LEAST(interval '0.5 s' * power(2, LEAST(t.attempt - 5, 10)), interval '60 s') END AS due_at
    FROM pipe, pipeline_step s,
         LATERAL (SELECT CASE s.state WHEN 'staging' THEN s.stage_attempts WHEN 'committing' THEN s.commit_attempts
                         ELSE s.rollback_attempts END AS attempt) t
    WHERE s.pipeline_id = %(pipeline)s AND s.name = %(step)s
),
released AS (
    UPDATE pipeline_step s
    SET owner = NULL, lease_until = NULL, due_at = found.due_at, fence = s.fence + 1,
        attention = s.attention OR found.mark
    FROM pipe, found
    WHERE s.pipeline_id = %(pipeline)s AND s.name = found.name AND s.fence = %(fence)s
      AND s.owner IS NOT DISTINCT FROM %(owner)s
    RETURNING s.name, s.due_at, found.attempt, found.mark
),
told AS (
    SELECT 1 AS ord, 'taken_over' AS type, released.name AS step, released.attempt,
           jsonb_build_object('why', %(why)s) AS data
    FROM released
    UNION ALL
    SELECT 2, 'attention', released.name, released.attempt,
           jsonb_build_object('code', 'worker_lost', 'detail', %(why)s)
    FROM released WHERE released.mark
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + (SELECT count(*) FROM told), published = 0, updated_at = now(),
        attention = p.attention + released.mark::int,
        attention_told_at = CASE WHEN released.mark THEN NULL ELSE p.attention_told_at END,
        due_at = CASE WHEN p.state IN ('staging', 'waiting') THEN COALESCE(released.due_at, now())
                      ELSE LEAST(p.due_at, COALESCE(released.due_at, now())) END
    FROM released WHERE p.id = %(pipeline)s
),
{NOTE}
SELECT released.name FROM released""",
    TYPES,
)
