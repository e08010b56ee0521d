"""What stands in for reCAPTCHA's api.js: v2's box to tick, v3's button that asks nobody. Its tokens are magic ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sandbox.provider import Answer, Call

if TYPE_CHECKING:
    from sandbox.world import World

# As https://developers.google.com/recaptcha/docs/display and .../v3 say: every .g-recaptcha of the page; the token goes
# into a field g-recaptcha-response of its form; a button's data-callback is called with it.
SCRIPT: Final = b"""\
"use strict";
(() => {
  const many = () => Array.from(crypto.getRandomValues(new Uint32Array(4)), (each) => each.toString(36)).join("");
  const response = () => Object.assign(document.createElement("input"), {type: "hidden", name: "g-recaptcha-response"});
  const box = (place) => {
    const field = response(), label = document.createElement("label"), tick = document.createElement("input");
    tick.type = "checkbox";
    tick.addEventListener("change", () => { field.value = tick.checked ? `v2-pass-${many()}` : ""; });
    label.append(tick, " I\\u2019m not a robot (the sandbox believes it)");
    place.append(label, field);
  };
  const button = (place) => {
    const field = response();
    place.after(field);
    place.addEventListener("click", (event) => {
      event.preventDefault();
      field.value = `v3-pass.${place.dataset.action}-${many()}`;
      window[place.dataset.callback](field.value);
    });
  };
  const show = () => document.querySelectorAll(".g-recaptcha").forEach(
    (place) => (place.tagName === "BUTTON" ? button : box)(place));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", show); else show();
})();
"""


def script(_: World, call: Call) -> Answer:
    """`GET /recaptcha/api.js`."""
    return Answer(200, SCRIPT, {"content-type": "text/javascript; charset=utf-8"})
