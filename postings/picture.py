"""Re-encoding a logo: pixels only, as PNG, without metadata of any kind."""

from io import BytesIO

from PIL import Image

from pipeline.workflow import Refused

FORMATS = ("PNG", "JPEG", "WEBP")


def as_png(raw: bytes) -> bytes:
    """The same picture as a plain PNG. Refused when it does not decode (the request has checked it before)."""
    try:
        with Image.open(BytesIO(raw), formats=FORMATS) as picture:
            mode = "RGBA" if picture.has_transparency_data else "RGB"
            pixels = picture.convert(mode)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise Refused(
            "logo_unreadable",
            "the logo does not decode",
            title="Logo not readable",
            message="The logo could not be read. Nothing was charged: please choose another picture.",
            field="logo",
        ) from error
    out = BytesIO()
    Image.frombytes(pixels.mode, pixels.size, pixels.tobytes()).save(out, "PNG")
    return out.getvalue()
