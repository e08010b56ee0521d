"""Google: reCAPTCHA's script and siteverify, and the Indexing API, all below one prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.provider import Answer, Call, Json, Operation, Provider, Refused, credentials
from sandbox.providers.google import control, indexing, recaptcha, widget
from sandbox.providers.google.errors import error_answer, words

if TYPE_CHECKING:
    from sandbox.world import World

NAME = "google"
SITEVERIFY, SCRIPT = "recaptcha.siteverify", "recaptcha.script"
OPERATIONS = (
    Operation(SITEVERIFY, "POST", "/recaptcha/api/siteverify", recaptcha.siteverify),
    Operation(SCRIPT, "GET", "/recaptcha/api.js", widget.script),
    Operation("url_notifications.publish", "POST", "/v3/urlNotifications:publish", indexing.publish),
    Operation("url_notifications.get_metadata", "GET", "/v3/urlNotifications/metadata", indexing.retrieve),
)


def authorise(_: World, call: Call) -> None:
    """The Indexing API wants an access token, any; siteverify has its secret in the form, the script is public."""
    scheme, token = credentials(call)
    if call.operation.name not in (SITEVERIFY, SCRIPT) and (scheme != "bearer" or not token.strip()):
        message = "Request is missing required authentication credential. Expected OAuth 2 access token."
        raise Refused(error_answer(401, "UNAUTHENTICATED", message))


def unknown_route(method: str, path: str) -> Answer:
    return error_answer(404, "NOT_FOUND", f"No such route (as far as the sandbox knows Google): {method} {path}")


def state(world: World) -> Json:
    """`urls` that Google was told of and `recaptcha_tokens`, oldest first."""
    return {"urls": indexing.told(world), "recaptcha_tokens": recaptcha.tokens(world)}


PROVIDER = Provider(
    name=NAME,
    operations=OPERATIONS,
    schema=recaptcha.SCHEMA + indexing.SCHEMA,
    tables=(*recaptcha.TABLES, *indexing.TABLES),
    authorise=authorise,
    unknown_route=unknown_route,
    words=words,
    state=state,
    control=control.ROUTES,
)
