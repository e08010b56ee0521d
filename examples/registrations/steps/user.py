"""The director's login at Supabase Auth: created banned under an id that we choose, then let in, or deleted.

The id comes of the pipeline's: whatever is unknown is answered by reading it. The password is a secret of the
pipeline: it is added as the request is sent, stands in no stored call, and is erased once the user is staged.
"""

import uuid
from datetime import timedelta
from typing import Final

from examples.registrations.providers import supabase
from examples.registrations.providers.supabase import EmailExists
from pipeline.states import Verb
from pipeline.workflow import Call, Refused, Run, Step, Unknown

# A request whose answer we gave up waiting for may still arrive so much later: longer than any proxy holds one.
STRAGGLING: Final = timedelta(seconds=30)


class UserStep(Step):
    """POST banned, PUT unbanned, DELETE."""

    name = "user"
    label = "Create the director's login"
    doing = "creating the director's login"
    secrets = ("director_password",)
    provider = "supabase"

    def stage(self, run: Run) -> dict[str, str]:
        """Create the user. An id of ours that exists already is an earlier attempt's."""
        user = user_id(run)
        call = run.call("create", {"id": user, "email": run.input["director_email"], "reference": run.reference})
        if not call.is_new:
            if supabase.owner_of(user) == run.reference:
                return {"user": user}
            call = run.renew("create")
        self._create(run, call)
        return {"user": user}

    def commit(self, run: Run) -> None:
        """Let the director in. Said twice, it is as true as once."""
        call = run.call("admit", {"reference": run.reference})
        supabase.admit(run.data["user"], **call.params)

    def rollback(self, run: Run) -> None:
        """Delete the user. What may still be on its way to Supabase is waited for and deleted, too."""
        if not run.has_called("create", Verb.STAGE) and run.is_restored:
            if supabase.owner_of(user_id(run)) == run.reference:
                supabase.delete(user_id(run))
            return
        if not run.may_have_made("create", Verb.STAGE):
            return
        call = run.earlier("create", Verb.STAGE)
        is_there = supabase.owner_of(call.params["id"]) == run.reference
        if is_there:
            supabase.delete(call.params["id"])
        is_settled = call.generation == 1 and (is_there or "user" in run.data)
        left = call.first_sent_at + STRAGGLING - run.now
        if left > timedelta(0) and not is_settled:
            raise Unknown("may_still_come", "the user may still be created", retry_after=left, outage=False)

    def _create(self, run: Run, call: Call) -> None:
        """An address that exists is ours if our id does, too: then the first answer was lost on its way."""
        password = run.secret("director_password")
        try:
            run.send(call, lambda call: supabase.create(**call.params, password=password))
        except EmailExists as error:
            if supabase.owner_of(call.params["id"]) == run.reference:
                return
            run.was_refused(call)  # nothing of ours can come any more, if this was the only sending
            raise Refused(
                "email_taken",
                "Supabase knows this address",
                title="Address already registered",
                message="Somebody is registered with this email address already: log in, or use another one.",
                field="director_email",
            ) from error


def user_id(run: Run) -> str:
    """The user's id at Supabase: always the same for one pipeline, and nobody else's."""
    return str(uuid.uuid5(run.pipeline_id, "director"))
