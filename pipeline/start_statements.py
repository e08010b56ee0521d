"""The statements of a start: everything that is accepted is stored in one, or nothing is."""

from typing import Final

from pipeline.db import Statement
from pipeline.statements import TYPES

CREATE: Final = Statement(
    """
WITH made AS (
    INSERT INTO pipeline_pipeline (
        id, workflow, version, scope, key, fingerprint, user_id, client, state, input, secrets, step_count, cursor,
        pivots, effects, tells, seq, hints, attention, due_at, published, deadline_at, is_cancelled,
        created_at, updated_at)
    VALUES (
        %(id)s, %(workflow)s, %(version)s, %(scope)s, %(key)s, %(fingerprint)s, %(user)s, %(client)s, 'staging',
        %(input)s, %(secrets)s, %(step_count)s, 0, %(pivots)s, %(effects)s, %(tells)s, 1, 0, 0,
        now() + %(look_again)s, 0, now() + %(deadline)s, false, now(), now())
    ON CONFLICT (scope, key) DO NOTHING
    RETURNING id
), steps AS (
    INSERT INTO pipeline_step (
        pipeline_id, position, name, kind, args, label, doing, wave, undo_pending, state, data, calls, attention,
        stage_attempts, commit_attempts, rollback_attempts, fence, hints_seen)
    SELECT made.id, s.position, s.name, s.kind, s.args, s.label, s.doing, s.wave, s.undo_pending,
           'pending', '{}', '{}', false, 0, 0, 0, 0, 0
    FROM made, jsonb_to_recordset(%(steps)s) AS s (
        position smallint, name text, kind text, args jsonb, label text, doing text, wave smallint,
        undo_pending boolean)
), attached AS (
    INSERT INTO pipeline_attachment (pipeline_id, name, content)
    SELECT made.id, a.name, a.content
    FROM made, unnest(%(attachment_names)s::text[], %(attachment_contents)s::bytea[]) AS a (name, content)
), noted AS (
    INSERT INTO pipeline_event (pipeline_id, seq, at, type, step, attempt, data)
    SELECT made.id, 1, clock_timestamp(), 'accepted', NULL, NULL, '{}' FROM made
)
SELECT now() AS at FROM made""",
    TYPES,
)

FIND: Final = Statement(
    "SELECT id, fingerprint FROM pipeline_pipeline WHERE scope = %(scope)s AND key = %(key)s", TYPES
)
