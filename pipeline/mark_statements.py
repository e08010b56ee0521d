"""The statements of hints and marks (pipeline/statements.py explains their shape)."""

from typing import Final

from pipeline.db import Statement
from pipeline.statements import NOTE, PIPE, TYPES

# Somebody outside said: look again. `marks` is 1 where a person shall, as at a provider's bad news.
HINT: Final = Statement(
    f"""
WITH pipe AS (
    SELECT * FROM pipeline_pipeline WHERE id = %(pipeline)s AND state = ANY(%(from_states)s) FOR NO KEY UPDATE
),
told AS (
    SELECT 1 AS ord, %(event)s AS type, NULL::text AS step, NULL::int AS attempt, %(note)s AS data FROM pipe
),
moved AS (
    UPDATE pipeline_pipeline p
    SET hints = p.hints + 1, seq = p.seq + 1, published = 0, updated_at = now(),
        attention = p.attention + %(marks)s,
        attention_told_at = CASE WHEN %(marks)s > 0 THEN NULL ELSE p.attention_told_at END,
        due_at = CASE WHEN p.finished_at IS NULL THEN now() END
    FROM pipe WHERE p.id = %(pipeline)s
    RETURNING p.state
),
{NOTE}
SELECT moved.state FROM moved""",
    TYPES,
)

# The database was restored from a backup and does not know what steps have done since. If the pipeline turns back,
# steps that seem never to have begun are undone too. A pipeline with a final effect outside gets the time to go on.
RESTORED: Final = Statement(
    f"""
WITH {PIPE},
told AS (
    SELECT 1 AS ord, 'operator_action' AS type, NULL::text AS step, NULL::int AS attempt, %(note)s AS data FROM pipe
    WHERE pipe.finished_at IS NULL
),
asked AS (
    UPDATE pipeline_step s SET undo_pending = true
    FROM pipe WHERE s.pipeline_id = pipe.id AND pipe.state IN ('staging', 'waiting')
      AND s.state IN ('pending', 'staging') AND s.wave < 2
),
moved AS (
    UPDATE pipeline_pipeline p
    SET hints = p.hints + 1, seq = p.seq + 1, published = 0, updated_at = now(), due_at = now(),
        deadline_at = CASE WHEN %(is_final)s AND p.state IN ('staging', 'waiting')
                           THEN GREATEST(p.deadline_at, now() + %(deadline)s) ELSE p.deadline_at END
    FROM pipe WHERE p.id = pipe.id AND pipe.finished_at IS NULL
    RETURNING p.state
),
{NOTE}
SELECT moved.state FROM moved""",
    TYPES,
)

# A person has dealt with the marks that belong to no step; `kept` are the steps' own.
ACKNOWLEDGE: Final = Statement(
    f"""
WITH pipe AS (
    SELECT * FROM pipeline_pipeline
    WHERE id = %(pipeline)s AND seq = %(seen_seq)s AND attention > %(kept)s FOR NO KEY UPDATE
),
told AS (
    SELECT 1 AS ord, 'operator_action' AS type, NULL::text AS step, NULL::int AS attempt, %(note)s AS data FROM pipe
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + 1, updated_at = now(), attention = %(kept)s
    FROM pipe WHERE p.id = %(pipeline)s
),
{NOTE}
SELECT id FROM pipe""",
    TYPES,
)

# Better news has settled so many of the marks that belong to no step.
SETTLE: Final = Statement(
    f"""
WITH pipe AS (
    SELECT * FROM pipeline_pipeline WHERE id = %(pipeline)s FOR NO KEY UPDATE
),
told AS (
    SELECT 1 AS ord, 'settled' AS type, NULL::text AS step, NULL::int AS attempt, %(note)s AS data FROM pipe
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + 1, updated_at = now(), attention = GREATEST(p.attention - %(marks)s, 0)
    FROM pipe WHERE p.id = %(pipeline)s
),
{NOTE}
SELECT id FROM pipe""",
    TYPES,
)
