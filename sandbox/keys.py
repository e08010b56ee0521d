"""The secrets with which the stand-ins sign their webhooks: made once in a data folder and kept there."""

from __future__ import annotations

import base64
import secrets

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sandbox.store import Store

STRIPE = "keys.stripe_webhook_secret"
SENDGRID = "keys.sendgrid_private_key"


class Keys:
    """`stripe_webhook_secret` (`whsec_…`) and a P-256 key whose public half is shown as base64 SPKI DER."""

    def __init__(self, store: Store) -> None:
        self.stripe_webhook_secret = store.setting(STRIPE) or f"whsec_{secrets.token_hex(16)}"
        store.set(STRIPE, self.stripe_webhook_secret)
        pem = store.setting(SENDGRID) or _new_private_key()
        store.set(SENDGRID, pem)
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{SENDGRID} in the data folder is no elliptic curve key: delete the folder")
        self._sendgrid = key

    @property
    def sendgrid_public_key(self) -> str:
        der = self._sendgrid.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(der).decode()

    def sign_for_sendgrid(self, message: bytes) -> str:
        """Base64 of the DER signature, ECDSA P-256 with SHA-256."""
        return base64.b64encode(self._sendgrid.sign(message, ec.ECDSA(hashes.SHA256()))).decode()


def _new_private_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
