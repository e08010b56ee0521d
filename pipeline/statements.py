"""The guarded statements behind pipeline/transitions.py: each is one transition, whole.

All have one shape. `pipe` locks the pipeline's row and sees its newest version; the step's UPDATE carries the
guard (state, fence, owner); `told` lists the events; `moved` changes the pipeline's row; `noted` writes the
events. Nothing is decided by counting other rows: a snapshot may be older than the lock, so what a decision
depends on are counters in the locked row. For the same reason `moved` sets every column that a constraint
compares with another one it sets: PostgreSQL checks the constraints on the snapshot's row with the new values in
it, before it finds that the row has changed meanwhile and makes the new one again. Rows are found by the id that
was given and not by a join with `pipe`, which looks cheap while a table is small by reading all of it; nor by their
owner (hence IS NOT DISTINCT FROM), whose index holds all that this process had since it was vacuumed.
"""

from typing import Final

from pipeline.db import Statement

# What PostgreSQL cannot deduce of a parameter, or would deduce in two ways, or not from a NULL.
TYPES: Final = {
    "text": "begin begin_state begin_verb begin_event done_state done_event step running event verb why provider",
    "int": "fence owner by_owner attempt seen_seq left kept",
    "text[]": "asked begin_phases begin_from known erase from_states states",
    "jsonb": "error note failure failing providers data calls input secrets steps result next_action",
    "timestamptz": "until opened_at retry_at",
    "interval": "lease look_again",
}

# Whether step n may be worked on now in pipeline a: its turn in staging, its wave after the decision.
_IN_TURN: Final = """
    CASE a.state
      WHEN 'committing' THEN n.wave = CASE WHEN a.pivots > 0 THEN 0 WHEN a.effects > 0 THEN 1 ELSE 2 END
      WHEN 'rolling_back' THEN (n.wave < 2) = (a.pivots + a.effects > 0)
      ELSE n.position = a.cursor
    END"""

_KIND: Final = "(a.workflow || ' ' || a.version || ' ' || n.kind)"

# Whether job `begin` of pipeline a, step n, is due and nobody's. `despite` an open circuit is despite its due time.
MAY_BEGIN: Final = f"""
    n.pipeline_id = %(pipeline)s AND n.name = %(begin)s
      AND a.state = ANY(%(begin_phases)s) AND n.state = ANY(%(begin_from)s)
      AND (n.state <> 'pending' OR %(begin_verb)s = 'stage' OR n.undo_pending)
      AND n.owner IS NULL
      AND (n.due_at IS NULL OR n.due_at <= now() OR n.hints_seen < a.hints OR %(despite)s)
      AND {_KIND} = ANY(%(known)s)
      AND {_IN_TURN}"""

# The provider that the step's verb calls, by what this process knows of all steps.
_PROVIDER: Final = f"%(providers)s ->> {_KIND}"


def _open_circuit(provider: str) -> str:
    """Of the table's rows, one for each provider that ever failed, the provider's own if it is open."""
    return f"SELECT FROM pipeline_circuit c WHERE c.opened_at IS NOT NULL AND c.provider = {provider}"


OPEN_CIRCUIT: Final = _open_circuit(_PROVIDER)


def _begin(*, source: str, provider: str, also: str = "") -> str:
    """Begin a job: count the attempt, take the lease, raise the fence. `source` is the locked pipeline."""
    return f"""
    UPDATE pipeline_step n
    SET state = %(begin_state)s, owner = %(owner)s, lease_until = now() + %(lease)s, fence = n.fence + 1,
        due_at = NULL, hints_seen = a.hints, finished_at = NULL,
        stage_attempts = n.stage_attempts + (%(begin_verb)s = 'stage')::int,
        commit_attempts = n.commit_attempts + (%(begin_verb)s = 'commit')::int,
        rollback_attempts = n.rollback_attempts + (%(begin_verb)s = 'rollback')::int,
        started_at = COALESCE(n.started_at, now()),
        verb_started_at = CASE WHEN n.state = %(begin_state)s THEN n.verb_started_at ELSE now() END
    FROM {source} a
    WHERE {MAY_BEGIN} AND (%(despite)s OR NOT EXISTS ({_open_circuit(provider)})) {also}
    RETURNING n.pipeline_id, n.name, n.wave, n.fence, n.lease_until, n.verb_started_at, n.data, n.calls, n.attention,
      (SELECT c.failures FROM pipeline_circuit c WHERE c.provider = {provider}) AS troubles,
      CASE %(begin_verb)s WHEN 'stage' THEN n.stage_attempts WHEN 'commit' THEN n.commit_attempts
        ELSE n.rollback_attempts END AS attempt"""


NOTE: Final = """
noted AS (
    INSERT INTO pipeline_event (pipeline_id, seq, at, type, step, attempt, data)
    SELECT pipe.id, pipe.seq + row_number() OVER (ORDER BY told.ord), clock_timestamp(),
           told.type, told.step, told.attempt, told.data
    FROM told, pipe
)"""

PIPE: Final = "pipe AS (SELECT * FROM pipeline_pipeline WHERE id = %(pipeline)s FOR NO KEY UPDATE)"

# What a claim hands to the executor of the begun step.
_BEGUN: Final = """
    begun.name AS begun, begun.fence, begun.attempt, begun.lease_until, begun.verb_started_at,
    NULLIF(begun.data, '{}') AS data, NULLIF(begun.calls, '{}') AS calls,  -- empty ones need not be decoded
    begun.attention, begun.troubles, now() AS now"""

# PAUSE_STAGING: what has not begun stays where it is.
_NOT_PAUSED: Final = "AND NOT (%(paused)s AND n.state = 'pending' AND a.cursor = 0 AND %(begin_verb)s = 'stage')"

CLAIM: Final = Statement(
    f"""
WITH {PIPE},
begun AS ({_begin(source="pipe", provider=_PROVIDER, also=_NOT_PAUSED)}
),
told AS (
    -- Asking again while the customer is waited for is no news.
    SELECT 1 AS ord, %(begin_event)s AS type, begun.name AS step, begun.attempt, '{{}}'::jsonb AS data
    FROM begun, pipe WHERE pipe.state <> 'waiting'
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + (SELECT count(*) FROM told), published = 0, updated_at = now(),
        due_at = CASE WHEN p.state IN ('staging', 'waiting') THEN begun.lease_until
                      ELSE LEAST(p.due_at, begun.lease_until) END
    FROM begun WHERE p.id = %(pipeline)s
    RETURNING p.seq
),
{NOTE}
SELECT {_BEGUN}, pipe.workflow, pipe.version, pipe.state, pipe.input, pipe.secrets, pipe.deadline_at,
       pipe.error AS reason, pipe.is_cancelled, pipe.created_at, moved.seq,
       -- The steps are as old as this statement's snapshot; the lock may have been had later.
       pipe.seq <> (SELECT seq FROM pipeline_pipeline WHERE id = %(pipeline)s) AS is_stale,
       (SELECT jsonb_agg(jsonb_build_object(
            'name', s.name, 'position', s.position, 'kind', s.kind, 'args', s.args, 'wave', s.wave,
            'undo_pending', s.undo_pending, 'state', s.state, 'data', s.data) ORDER BY s.position)
        FROM pipeline_step s WHERE s.pipeline_id = %(pipeline)s) AS steps
FROM begun, pipe, moved""",
    TYPES,
)

# The steps as they are, with the `seq` that they belong to: one snapshot.
LOOK: Final = Statement(
    """
SELECT p.seq,
       (SELECT jsonb_agg(jsonb_build_object(
            'name', s.name, 'position', s.position, 'kind', s.kind, 'args', s.args, 'wave', s.wave,
            'undo_pending', s.undo_pending, 'state', s.state, 'data', s.data) ORDER BY s.position)
        FROM pipeline_step s WHERE s.pipeline_id = %(pipeline)s) AS steps
FROM pipeline_pipeline p WHERE p.id = %(pipeline)s""",
    TYPES,
)

# A job ended well (or its step is skipped): record it, decide if it was the last, and begin the next job.
ADVANCE: Final = Statement(
    f"""
WITH pipe AS (
    SELECT id, workflow, version, state, step_count, cursor, pivots, effects, tells, seq, hints, error
    FROM pipeline_pipeline WHERE id = %(pipeline)s FOR NO KEY UPDATE
),
done AS (
    UPDATE pipeline_step s
    SET state = %(done_state)s, data = s.data || %(data)s, owner = NULL, lease_until = NULL, due_at = NULL,
        error = NULL, attention = false, finished_at = now()
    FROM pipe
    WHERE s.pipeline_id = %(pipeline)s AND s.name = %(step)s AND s.state = %(running)s AND s.fence = %(fence)s
      AND s.owner IS NOT DISTINCT FROM %(by_owner)s
      -- The last job of a commit gives the result: made from all steps as they are now, or made again.
      AND (pipe.seq = %(seen_seq)s OR pipe.state = 'rolling_back' OR pipe.pivots + pipe.effects + pipe.tells > 1)
    RETURNING s.name, s.wave
),
counted AS (
    SELECT pipe.id, pipe.workflow, pipe.version, pipe.hints, pipe.step_count, pipe.state AS was,
           %(is_stage)s AND pipe.state IN ('staging', 'waiting') AS was_staging, pipe.seq AS was_seq, pipe.error,
           pipe.cursor + (%(is_stage)s AND pipe.state IN ('staging', 'waiting'))::int AS cursor,
           pipe.pivots - (%(less)s AND done.wave = 0)::int AS pivots,
           pipe.effects - (%(less)s AND done.wave = 1)::int AS effects,
           pipe.tells - (%(less)s AND done.wave = 2)::int AS tells
    FROM pipe, done
),
after AS (
    SELECT c.*,
        CASE WHEN c.was_staging AND c.cursor < c.step_count THEN 'staging'
             WHEN c.pivots + c.effects + c.tells > 0
             THEN CASE WHEN c.was_staging THEN 'committing' ELSE c.was END
             WHEN c.was = 'rolling_back' THEN 'rolled_back'
             ELSE 'committed' END AS state
    FROM counted c
),
begun AS ({_begin(source="after", provider="%(provider)s")}
),
told AS (
    SELECT 1 AS ord, %(done_event)s AS type, done.name AS step, %(attempt)s AS attempt, %(note)s AS data
    FROM done
    UNION ALL
    SELECT 2, 'decided_commit', NULL, NULL, '{{}}' FROM after
    WHERE after.was_staging AND after.state IN ('committing', 'committed')
    UNION ALL
    SELECT 3, %(begin_event)s, begun.name, begun.attempt, '{{}}' FROM begun
    UNION ALL
    SELECT 4, 'pipeline_' || after.state, NULL, NULL, '{{}}' FROM after
    WHERE after.state IN ('committed', 'rolled_back')
),
moved AS (
    UPDATE pipeline_pipeline p
    SET state = after.state, cursor = after.cursor, error = after.error,
        pivots = after.pivots, effects = after.effects, tells = after.tells,
        seq = p.seq + (SELECT count(*) FROM told), published = 0, updated_at = now(),
        secrets = CASE WHEN after.state IN ('committed', 'rolled_back') THEN '{{}}'::jsonb
                       ELSE p.secrets - %(erase)s END,
        attention = GREATEST(p.attention - %(marks)s, 0),
        deadline_at = CASE WHEN after.was = 'waiting' THEN now() + p.staging_left ELSE p.deadline_at END,
        staging_left = NULL, next_action = NULL,
        result = CASE WHEN after.state = 'committed' THEN %(result)s ELSE p.result END,
        finished_at = CASE WHEN after.state IN ('committed', 'rolled_back') THEN now() END,
        due_at = CASE WHEN after.state IN ('committed', 'rolled_back') THEN NULL
                      -- One job at a time: it is looked at when its lease ends, or a little earlier if it would have
                      -- been anyway: a time that stays leaves the row's indexes as they are.
                      WHEN begun.wave = 0 OR (after.state = 'staging' AND begun.name IS NOT NULL)
                      THEN CASE WHEN p.due_at BETWEEN begun.lease_until - %(lease)s / 2 AND begun.lease_until
                                THEN p.due_at ELSE begun.lease_until END
                      -- Otherwise others were published too.
                      WHEN after.was_staging THEN now() + %(look_again)s
                      ELSE LEAST(p.due_at, now() + %(look_again)s) END
    FROM after LEFT JOIN begun ON true
    WHERE p.id = %(pipeline)s
    RETURNING p.deadline_at, p.seq
),
erased AS (
    DELETE FROM pipeline_attachment a USING after
    WHERE %(is_stage)s AND a.pipeline_id = %(pipeline)s
      AND (a.name = ANY(%(erase)s) OR after.state NOT IN ('staging', 'waiting'))
),
{NOTE}
SELECT after.state AS state, after.was, after.pivots, after.effects, after.tells, moved.deadline_at,
       after.was_seq, moved.seq, {_BEGUN}
FROM after, moved LEFT JOIN begun ON true""",
    TYPES,
)

# An attempt failed in a way that may pass: say why and when to try again.
FAIL: Final = Statement(
    f"""
WITH {PIPE},
failed AS (
    UPDATE pipeline_step s
    SET owner = NULL, lease_until = NULL, error = %(error)s, attention = s.attention OR %(mark)s,
        due_at = CASE WHEN %(verb)s = 'stage' AND pipe.state = 'rolling_back' OR s.hints_seen < pipe.hints THEN now()
                      ELSE GREATEST(now() + %(delay)s, %(until)s) END,
        verb_started_at = GREATEST(s.verb_started_at, %(until)s)
    FROM pipe
    WHERE s.pipeline_id = %(pipeline)s AND s.name = %(step)s AND s.state = %(running)s AND s.fence = %(fence)s
      AND s.owner IS NOT DISTINCT FROM %(owner)s
    RETURNING s.name, s.due_at
),
told AS (
    SELECT 1 AS ord, 'attempt_failed' AS type, failed.name AS step, %(attempt)s AS attempt,
           %(error)s || jsonb_build_object('next_attempt_at', failed.due_at) AS data
    FROM failed
    UNION ALL
    SELECT 2, 'attention', failed.name, %(attempt)s, %(error)s FROM failed WHERE %(mark)s
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + (SELECT count(*) FROM told), published = 0, updated_at = now(),
        attention = p.attention + %(mark)s::int,
        attention_told_at = CASE WHEN %(mark)s THEN NULL ELSE p.attention_told_at END,
        due_at = CASE WHEN p.state IN ('staging', 'waiting') THEN failed.due_at ELSE LEAST(p.due_at, failed.due_at) END
    FROM failed WHERE p.id = %(pipeline)s
    RETURNING p.state
),
{NOTE}
SELECT moved.state, failed.due_at FROM moved, failed""",
    TYPES,
)

# The customer is needed: wait for them, asking the provider now and then.
WAIT: Final = Statement(
    f"""
WITH {PIPE},
asked AS (
    UPDATE pipeline_step s
    SET owner = NULL, lease_until = NULL, data = s.data || %(data)s, error = NULL,
        due_at = CASE WHEN pipe.state = 'rolling_back' OR s.hints_seen < pipe.hints THEN now()
                      ELSE LEAST(now() + %(delay)s, %(deadline)s) END
    FROM pipe
    WHERE s.pipeline_id = %(pipeline)s AND s.name = %(step)s AND s.state = 'staging' AND s.fence = %(fence)s
      AND s.owner IS NOT DISTINCT FROM %(owner)s
    RETURNING s.name, s.due_at
),
told AS (
    SELECT 1 AS ord, 'waiting' AS type, asked.name AS step, %(attempt)s AS attempt,
           jsonb_build_object('deadline', %(deadline)s) AS data
    FROM asked, pipe WHERE pipe.state = 'staging'
),
moved AS (
    UPDATE pipeline_pipeline p
    SET seq = p.seq + (SELECT count(*) FROM told), published = 0, updated_at = now(), due_at = asked.due_at,
        state = CASE WHEN p.state = 'staging' THEN 'waiting' ELSE p.state END,
        staging_left = CASE WHEN p.state = 'staging' THEN GREATEST(p.deadline_at - now(), interval '0')
                            ELSE p.staging_left END,
        deadline_at = CASE WHEN p.state IN ('staging', 'waiting') THEN %(deadline)s ELSE p.deadline_at END,
        next_action = CASE WHEN p.state IN ('staging', 'waiting') THEN %(next_action)s END
    FROM asked WHERE p.id = %(pipeline)s
    RETURNING p.state
),
{NOTE}
SELECT moved.state, asked.due_at FROM moved, asked""",
    TYPES,
)

# Turn a pipeline back. What is to undo was counted from steps as they were at `seen_seq` or, when a job's owner
# turns it back, under its fence: nothing else moves the steps then, so the counts hold or nothing is written.
# Steps `asked` are undone even if they seem never to have begun.
TURN_BACK: Final = Statement(
    f"""
WITH pipe AS (
    SELECT * FROM pipeline_pipeline
    WHERE id = %(pipeline)s AND state = ANY(%(from_states)s) AND (%(seen_seq)s IS NULL OR seq = %(seen_seq)s)
    FOR NO KEY UPDATE
),
refused AS (
    UPDATE pipeline_step s
    SET owner = NULL, lease_until = NULL, due_at = NULL, error = %(failure)s,
        undo_pending = s.undo_pending OR s.name = ANY(%(asked)s)
    FROM pipe
    WHERE s.pipeline_id = %(pipeline)s AND s.name = %(step)s AND s.state = %(running)s AND s.fence = %(fence)s
      AND s.owner IS NOT DISTINCT FROM %(owner)s
    RETURNING s.name
),
turned AS (SELECT pipe.id FROM pipe WHERE %(step)s IS NULL OR EXISTS (SELECT FROM refused)),
hurried AS (
    -- What waits for its next attempt, for the customer or for a circuit is undone at once.
    UPDATE pipeline_step s SET due_at = NULL
    FROM turned WHERE s.pipeline_id = %(pipeline)s AND s.state IN ('staging', 'staged') AND s.owner IS NULL
      AND s.due_at IS NOT NULL
),
skipped AS (
    UPDATE pipeline_step s SET state = 'skipped', due_at = NULL, finished_at = now()
    FROM turned WHERE s.pipeline_id = %(pipeline)s AND s.state = 'pending' AND NOT s.undo_pending
      AND s.name <> ALL(%(asked)s)
    RETURNING s.name, s.position
),
asked AS (
    UPDATE pipeline_step s SET undo_pending = true
    FROM turned WHERE s.pipeline_id = %(pipeline)s AND s.state = 'pending' AND s.name = ANY(%(asked)s)
      AND NOT s.undo_pending
),
erased AS (DELETE FROM pipeline_attachment a USING turned WHERE a.pipeline_id = %(pipeline)s),
told AS (
    SELECT 1 AS ord, %(event)s AS type, %(step)s AS step, %(attempt)s AS attempt, %(note)s AS data
    FROM turned
    UNION ALL
    SELECT 2, 'decided_rollback', NULL, NULL, jsonb_build_object('code', %(error)s ->> 'code') FROM turned
    UNION ALL
    SELECT 3 + skipped.position, 'skipped', skipped.name, NULL, '{{"why": "never attempted"}}' FROM skipped
    UNION ALL
    SELECT 100000, 'pipeline_rolled_back', NULL, NULL, '{{}}' FROM turned WHERE %(left)s = 0
),
moved AS (
    UPDATE pipeline_pipeline p
    SET state = CASE WHEN %(left)s = 0 THEN 'rolled_back' ELSE 'rolling_back' END,
        pivots = %(pivots)s, effects = %(effects)s, tells = %(tells)s, secrets = '{{}}', error = %(error)s,
        is_cancelled = %(is_cancelled)s, staging_left = NULL, next_action = NULL,
        seq = p.seq + (SELECT count(*) FROM told), published = 0, updated_at = now(),
        due_at = CASE WHEN %(left)s > 0 THEN now() + %(look_again)s END,
        finished_at = CASE WHEN %(left)s = 0 THEN now() END
    FROM turned WHERE p.id = %(pipeline)s
    RETURNING p.state
),
{NOTE}
SELECT moved.state FROM moved""",
    TYPES,
)

RECORD: Final = Statement(
    """
UPDATE pipeline_step SET data = data || %(data)s, calls = calls || %(calls)s
WHERE pipeline_id = %(pipeline)s AND name = %(step)s AND state = %(running)s AND fence = %(fence)s
  AND owner IS NOT DISTINCT FROM %(owner)s
RETURNING data, calls, now() AS now""",
    TYPES,
)

POSTPONE: Final = Statement(
    """
UPDATE pipeline_pipeline
SET due_at = now() + %(delay)s, published = 0,
    deadline_at = CASE WHEN cursor = 0 AND state = 'staging' AND %(paused)s
                       THEN GREATEST(deadline_at, now() + %(deadline)s) ELSE deadline_at END
WHERE id = %(pipeline)s AND finished_at IS NULL AND seq = %(seen_seq)s""",
    TYPES,
)
