"""The company's logo in object storage: an immutable key that says nothing, invisible until the posting shows it."""

import hashlib
from typing import Final

from pipeline.states import Verb
from pipeline.workflow import Call, Refused, Run, Skip, Step, Unavailable
from postings import logo
from postings.providers import storage
from postings.steps.naming import name_of

PATIENCE: Final = 10.0  # seconds that a job waits for its turn to decode, within its lease


class LogoStep(Step):
    """PUT when staged, nothing to commit (visibility lives in the database), DELETE when rolled back."""

    name = "logo"
    label = "Upload the logo"
    doing = "uploading the logo"
    attachments = ("logo",)
    provider = "storage"

    def stage(self, run: Run) -> dict[str, str] | Skip:
        """Upload. The key is stored before the first send."""
        if not run.input["has_logo"]:
            return Skip("no logo")
        picture = _plain(run.attachment("logo"))
        call = run.call("put", {"key": _key(run)})
        digest = hashlib.sha256(picture).hexdigest()
        self._put(run, call, picture, digest)
        return {"key": call.params["key"], "sha256": digest}

    def rollback(self, run: Run) -> None:
        """Delete whatever staging may have uploaded; deleting nothing is fine."""
        key = self._uploaded(run)
        if key is not None:
            storage.delete(key)

    def calls_provider(self, run: Run) -> bool:
        """Without a logo there is nothing to store."""
        return super().calls_provider(run) and bool(run.input["has_logo"])

    def _uploaded(self, run: Run) -> str | None:
        """The key under which there may be an object of ours. An object of somebody else's is not deleted."""
        if not run.has_called("put", Verb.STAGE):
            return _key(run) if run.is_restored and run.input["has_logo"] else None
        call = run.earlier("put", Verb.STAGE)
        key = str(call.params["key"])
        if not call.is_refused:
            return key
        may_be = run.may_have_made("put", Verb.STAGE) and storage.owner_of(key) == run.reference
        return key if may_be else None

    def _put(self, run: Run, call: Call, picture: bytes, digest: str) -> None:
        """A key that exists already is ours from an earlier attempt, or nobody's business: compare."""
        key = call.params["key"]

        def put(_call: Call) -> bool:
            return storage.put_new(key, picture, content_type="image/png", reference=run.reference, digest=digest)

        if not run.send(call, put) and storage.owner_of(key) != run.reference:
            run.was_refused(call)
            raise Refused("logo_key_taken", f"{key} belongs to another pipeline", title="Logo not stored")


def _key(run: Run) -> str:
    return f"{storage.PREFIX}{name_of('logo', run)}.png"


def _plain(raw: bytes) -> bytes:
    """The picture as it is stored. The request has made it so; only what an older release took in is decoded here."""
    try:
        parts = logo.inspect(raw)
        return raw if logo.is_plain(parts) else logo.stored_form(parts, PATIENCE)
    except logo.BadLogo as error:
        raise Refused(
            error.code,
            "the logo does not decode",
            title="Logo not readable",
            message="The logo could not be read. Nothing was charged: please choose another picture.",
            field="logo",
        ) from error
    except logo.NoRoom as error:
        raise Unavailable("decoders_busy", "too many logos are being decoded in this process") from error
