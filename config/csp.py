"""Which origins a page may load from: this one, and reCAPTCHA's where it is switched on."""

Directives = dict[str, list[str]]

_OURS: Directives = {
    "default-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "style-src": ["'self'", "'unsafe-inline'"],
    "frame-ancestors": ["'none'"],
    "base-uri": ["'self'"],
}


def policy(recaptcha: str | None = None, *, is_sandbox: bool = False) -> dict[str, Directives]:
    """django-csp's setting; `recaptcha` is the base address of its script.

    Google's script loads more from gstatic.com and shows its box in a frame; the sandbox's does neither.
    """
    if recaptcha is None:
        return {"DIRECTIVES": _OURS}
    base = f"{recaptcha}/recaptcha/"
    more = {"script-src": ["'self'", base]}
    if not is_sandbox:
        more["script-src"].append("https://www.gstatic.com/recaptcha/")
        more["connect-src"] = ["'self'", base]
        more["frame-src"] = [base, "https://recaptcha.google.com/recaptcha/"]
    return {"DIRECTIVES": _OURS | more}
