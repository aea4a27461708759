"""The auth string of the Prefect server, and the settings that server and clients take from it.

What the server refuses belongs in `prefect_middleware`. Only the standard library is imported here:
a run waits for this.
"""

import base64
import os
import secrets
from pathlib import Path

from housing.store.objects.filesystem import named_in_errors, write_durably

SERVER_SECRET = "PREFECT_SERVER_API_AUTH_STRING"  # noqa: S105 - names of variables
CLIENT_SECRET = "PREFECT_API_AUTH_STRING"  # noqa: S105
ORIGINS = "PREFECT_SERVER_CORS_ALLOWED_ORIGINS"

SIGN_IN = "/sign-in"


def new_secret() -> str:
    """An auth string as Prefect wants it, USER:PASSWORD."""
    return f"housing:{secrets.token_urlsafe(24)}"


def secret_of(home: Path) -> str:
    """The auth string of `housing up`: the user's own, or one that is made once and kept."""
    chosen = os.environ.get(SERVER_SECRET)
    if chosen:
        return chosen
    path = home / "prefect" / "auth"
    with named_in_errors(path):
        if not path.exists():
            write_durably(path, new_secret().encode())
        return path.read_text()


def sign_in_url(ui: str, secret: str) -> str:
    """The address that signs a browser in; what follows # is not sent over the network."""
    return f"{ui}{SIGN_IN}#{basic(secret)}"


def server_settings(url: str, secret: str) -> dict[str, str]:
    """Environment of a server with the API at `url`; origins set by a user win."""
    return {
        SERVER_SECRET: secret,
        CLIENT_SECRET: secret,
        ORIGINS: os.environ.get(ORIGINS, url.removesuffix("/api")),
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        # Under either name of this machine the UI asks the server that it came from.
        "PREFECT_SERVER_UI_API_URL": os.environ.get("PREFECT_SERVER_UI_API_URL", "/api"),
    }


def client_settings(url: str, secret: str | None) -> dict[str, str]:
    """Environment of a client of the server."""
    return {"PREFECT_API_URL": url} | ({} if secret is None else {CLIENT_SECRET: secret})


def basic(secret: str) -> str:
    """The auth string as HTTP's Basic scheme sends it."""
    return base64.b64encode(secret.encode()).decode()
