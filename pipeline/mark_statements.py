"""The statements of hints and marks (pipeline/statements.py explains their shape)."""

from typing import Final

from pipeline.db import Statement
from pipeline.statements import NOTE, TYPES

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
