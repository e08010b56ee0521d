"""The engine's tables: Pipeline, its Steps, its Events, its Attachments; Chore, Inbox.

Read them freely; only pipeline/transitions.py writes `state` and what belongs to it, pipeline/marks.py hints and
marks beside it. What must never be is a constraint here (what concerns one row alone: `_rules`).
"""

from django.conf import settings
from django.db import models
from django.db.models import Q

from pipeline.ids import new_pipeline_id
from pipeline.states import TERMINAL, PipelineState, StepState, Wave


def _rules(table: str) -> models.CheckConstraint:
    """What must never be in a row of the table: a function of the database, whose text is in 0009_row_rules.

    Each write parses all constraints of its table anew: as ten constraints they took a quarter of PostgreSQL's time,
    as one call a twentieth. An error names the rule that is broken.
    """
    call = models.Func(function=f"{table}_rules", template=f"%(function)s({table})", output_field=models.BooleanField())
    return models.CheckConstraint(condition=call, name=f"{table}_rules")


class Pipeline(models.Model):
    """One durable run of a workflow. Its row is the lock of every transition."""

    id = models.UUIDField(primary_key=True, default=new_pipeline_id, editable=False)
    workflow = models.CharField(max_length=100)
    version = models.SmallIntegerField()

    scope = models.CharField(max_length=64, help_text="Whose idempotency keys: one user's, or all anonymous ones'.")
    key = models.CharField(max_length=255, help_text="The Idempotency-Key of the submission.")
    fingerprint = models.CharField(max_length=64, help_text="HMAC of the submission's content.")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, db_index=False)
    client = models.CharField(max_length=64, blank=True, help_text="HMAC of the submitter's address; for ceilings.")

    state = models.TextField(choices=PipelineState, default=PipelineState.STAGING)
    input = models.JSONField(default=dict, help_text="The validated fields.")
    secrets = models.JSONField(default=dict, help_text="Name to encrypted value; each is erased once used.")

    step_count = models.SmallIntegerField()
    cursor = models.SmallIntegerField(default=0, help_text="Position of the step that is staged now.")
    pivots = models.SmallIntegerField(help_text="Jobs after the decision still to do: the pivot's.")
    effects = models.SmallIntegerField(help_text="The same of the other steps.")
    tells = models.SmallIntegerField(help_text="The same of the telling steps.")
    seq = models.IntegerField(default=0, help_text="`seq` of the last event.")
    hints = models.IntegerField(default=0, help_text="How often somebody outside said: look again.")
    attention = models.SmallIntegerField(default=0, help_text="Marks for a person, 0 when none.")
    attention_told_at = models.DateTimeField(null=True, blank=True, help_text="When a person was told.")

    due_at = models.DateTimeField(null=True, blank=True, help_text="When somebody looks again; null when terminal.")
    published = models.SmallIntegerField(default=0, help_text="How often this move was published by a sweep.")
    deadline_at = models.DateTimeField(help_text="End of staging, or of the customer's waiting.")
    staging_left = models.DurationField(null=True, blank=True, help_text="Staging's time left, kept while waiting.")
    next_action = models.JSONField(null=True, blank=True, help_text="What the customer is asked to do.")

    is_cancelled = models.BooleanField(default=False, help_text="The customer, or a person, turned it back.")
    error = models.JSONField(null=True, blank=True, help_text="Why it turned back; a problem for the customer.")
    result = models.JSONField(null=True, blank=True)

    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)
    reaped_at = models.DateTimeField(
        null=True, blank=True, help_text="When its personal data was erased, with its steps and its history."
    )

    class Meta:
        # Nobody adds, changes or deletes one by hand; operators act through pipeline/actions.py.
        default_permissions = ["view"]
        permissions = [("operate_pipeline", "Can operate pipelines: retry, resume, roll back, skip a step, erase")]
        constraints = [
            # The key first, so that operators find a pipeline by its key alone.
            models.UniqueConstraint(fields=["key", "scope"], name="pipeline_key_once"),
            _rules("pipeline_pipeline"),
        ]
        indexes = [
            models.Index(fields=["due_at"], name="pipeline_due", condition=Q(finished_at__isnull=True)),
            models.Index(fields=["user", "-created_at"], name="pipeline_by_user"),
            models.Index(fields=["state", "-created_at"], name="pipeline_by_state"),
            models.Index(fields=["-created_at"], name="pipeline_by_age"),
            # Of what has ended only: written once for each pipeline, and not at each transition.
            models.Index(
                fields=["workflow", "-created_at"],
                name="pipeline_by_workflow",
                condition=Q(finished_at__isnull=False),
            ),
            models.Index(fields=["client", "-created_at"], name="pipeline_by_client", condition=~Q(client="")),
            models.Index(fields=["-created_at"], name="pipeline_attention", condition=Q(attention__gt=0)),
            models.Index(
                fields=["finished_at"],
                name="pipeline_to_reap",
                condition=Q(finished_at__isnull=False, reaped_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.workflow} {self.id}"

    @property
    def is_terminal(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in TERMINAL


class Step(models.Model):
    """One effect of a pipeline. Its rows are the definition that the pipeline runs by, stored with it."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="steps", db_index=False)
    position = models.SmallIntegerField()
    name = models.CharField(max_length=60, help_text="Unique in its pipeline.")
    kind = models.CharField(max_length=60, help_text="The step class's name; several steps may be of one kind.")
    args = models.JSONField(default=dict, help_text="What tells steps of one kind apart.")
    label = models.CharField(max_length=120)
    doing = models.CharField(max_length=120, help_text="What is being done while it is staged, for the customer.")
    wave = models.SmallIntegerField(choices=Wave)
    undo_pending = models.BooleanField(default=False, help_text="Rolled back even if it was never attempted.")

    state = models.TextField(choices=StepState, default=StepState.PENDING)
    data = models.JSONField(default=dict, help_text="What its verbs recorded.")
    calls = models.JSONField(default=dict, help_text="Provider calls: key, parameters, generation, first sent.")
    error = models.JSONField(null=True, blank=True, help_text="The last failure of the job at hand.")
    attention = models.BooleanField(default=False)

    stage_attempts = models.IntegerField(default=0)
    commit_attempts = models.IntegerField(default=0)
    rollback_attempts = models.IntegerField(default=0)
    owner = models.IntegerField(null=True, blank=True, help_text="Id of the process that runs its job.")
    lease_until = models.DateTimeField(null=True, blank=True)
    fence = models.IntegerField(default=0, help_text="Rises with each claim; a late owner's write fails.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="Not before this time; null: at once.")
    hints_seen = models.IntegerField(default=0, help_text="The pipeline's hints at the last claim.")

    started_at = models.DateTimeField(null=True, blank=True)
    verb_started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["pipeline", "position"]
        constraints = [
            models.UniqueConstraint(fields=["pipeline", "position"], name="step_position_once"),
            models.UniqueConstraint(fields=["pipeline", "name"], name="step_name_once"),
            _rules("pipeline_step"),
        ]
        indexes = [models.Index(fields=["owner"], name="step_owned", condition=Q(owner__isnull=False))]

    def __str__(self) -> str:
        return f"{self.name} of {self.pipeline_id}"

    @property
    def attempts(self) -> int:
        """The most attempts that one of its jobs (stage, commit, rollback) has needed so far."""
        return max(self.stage_attempts, self.commit_attempts, self.rollback_attempts)


class Event(models.Model):
    """One line of a pipeline's append-only history; `seq` counts from 1 without gaps."""

    pk = models.CompositePrimaryKey("pipeline_id", "seq")
    # No constraint: whoever writes an event writes its pipeline's row in the same statement.
    pipeline = models.ForeignKey(
        Pipeline, on_delete=models.CASCADE, related_name="events", db_index=False, db_constraint=False
    )
    seq = models.IntegerField()
    at = models.DateTimeField()
    type = models.CharField(max_length=24)
    step = models.CharField(max_length=60, null=True)
    attempt = models.IntegerField(null=True)
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["pipeline", "seq"]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"


class Attachment(models.Model):
    """Bytes that a step needs once; erased when that step is staged or the pipeline turns back."""

    pipeline = models.ForeignKey(Pipeline, on_delete=models.CASCADE, related_name="attachments", db_index=False)
    name = models.CharField(max_length=60)
    content = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["pipeline", "name"], name="attachment_name_once")]

    def __str__(self) -> str:
        return f"{self.name} of {self.pipeline_id}"


class Chore(models.Model):
    """When a chore is called next, and how its last call went (pipeline/chores.py)."""

    name = models.CharField(max_length=200, primary_key=True, help_text="The dotted path of its function.")
    due_at = models.DateTimeField(help_text="When it is called next, by whoever comes first.")
    began_at = models.DateTimeField(help_text="When it was called last.")
    ended_at = models.DateTimeField(null=True, blank=True, help_text="When a call ended last.")
    error = models.TextField(blank=True, help_text="What that call raised; empty when it went well.")

    def __str__(self) -> str:
        return self.name


class Circuit(models.Model):
    """What is known of a provider that has failed (pipeline/circuit.py); no row: nothing bad."""

    provider = models.CharField(max_length=30, primary_key=True)
    failures = models.PositiveIntegerField(default=0, help_text="Outages in a row, over all workers.")
    failing = models.JSONField(default=list, db_default=[], help_text="The pipelines of the outages that count.")
    openings = models.PositiveIntegerField(default=0, help_text="Openings and failed probes; the delay grows.")
    opened_at = models.DateTimeField(null=True, blank=True, help_text="Since when its jobs wait; null when closed.")
    retry_at = models.DateTimeField(null=True, blank=True, help_text="When one job may probe it.")
    error = models.JSONField(null=True, blank=True, help_text="The last outage.")

    class Meta:
        default_permissions = ["view"]
        permissions = [("close_circuit", "Can close a provider's circuit")]
        constraints = [
            models.CheckConstraint(
                condition=Q(opened_at__isnull=True, retry_at__isnull=True)
                | Q(opened_at__isnull=False, retry_at__isnull=False),
                name="circuit_open_is_tried_again",
            ),
        ]

    def __str__(self) -> str:
        return self.provider


class Inbox(models.Model):
    """An event id that a provider's webhook has delivered: each is taken in once."""

    provider = models.CharField(max_length=30)
    event_id = models.CharField(max_length=255)
    received_at = models.DateTimeField(auto_now_add=True)
    pipeline_id = models.UUIDField(null=True, blank=True)
    kind = models.CharField(max_length=60)
    data = models.JSONField(default=dict, help_text="What is needed of it; nothing personal.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "event_id"], name="inbox_event_once")]
        indexes = [
            models.Index(fields=["pipeline_id"], name="inbox_pipeline", condition=Q(pipeline_id__isnull=False)),
            models.Index(fields=["received_at"], name="inbox_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.event_id}"


class FindingState(models.TextChoices):
    """What became of something outside that should not be there."""

    OPEN = "open", "Open"
    # A person must decide.
    ACKNOWLEDGED = "acknowledged", "Acknowledged"
    # A person is at it.
    RESOLVED = "resolved", "Resolved"
    # A person has decided, and said what; it is not raised again.
    REPAIRING = "repairing", "Being repaired"
    # The call that removes it may have been sent.
    REPAIRED = "repaired", "Repaired"
    # It was removed by itself.
    GONE = "gone", "Gone"
    # It was in order again, or not there any more, when it was looked at next.


_OPEN_FINDING = [FindingState.OPEN, FindingState.ACKNOWLEDGED, FindingState.REPAIRING]


class Finding(models.Model):
    """Something outside, under our mark, that should not be there (pipeline/reconciliation.py). One row a thing."""

    reconciler = models.CharField(max_length=200, help_text="The dotted path of what has found it.")
    kind = models.CharField(max_length=40)
    object_id = models.CharField(max_length=255, help_text="What its provider calls it.")
    pipeline_id = models.UUIDField(null=True, blank=True, help_text="Whose mark it carries; there may be no such row.")
    state = models.TextField(choices=FindingState)
    why = models.TextField(help_text="Why it should not be there, and what to do.")
    calls = models.JSONField(default=dict, help_text="What was sent to remove it: key, parameters, generation.")
    made_at = models.DateTimeField(help_text="When it was made, by its provider's clock.")
    found_at = models.DateTimeField(auto_now_add=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    by = models.CharField(max_length=150, blank=True, help_text="Who acknowledged or resolved it.")
    note = models.TextField(blank=True, help_text="What that person did about it.")

    class Meta:
        ordering = ["-found_at"]
        default_permissions = ["view"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "object_id"], name="finding_once"),
            models.CheckConstraint(
                condition=Q(state__in=_OPEN_FINDING, closed_at__isnull=True)
                | Q(state__in=sorted(set(FindingState) - set(_OPEN_FINDING)), closed_at__isnull=False),
                name="finding_open_until_closed",
            ),
            models.CheckConstraint(
                condition=~Q(state=FindingState.RESOLVED) | (~Q(by="") & ~Q(note="")),
                name="finding_resolved_by_somebody",
            ),
        ]
        indexes = [models.Index(fields=["reconciler"], name="finding_open", condition=Q(closed_at__isnull=True))]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_id}"

    @property
    def is_open(self) -> bool:
        """Whether somebody, or the next run, has to do something about it."""
        return self.closed_at is None
