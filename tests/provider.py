"""An identity provider that signs people in without asking them: discovery, keys that rotate, codes with PKCE, refresh tokens
that are good once, sign-out. It may be away."""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl, urlencode

import jwt
import orjson
import uvicorn
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "ledger", "a secret: of the client/"


class Provider:
    """The provider, and what was asked of it. `claims` are those of its ID tokens beside the usual ones."""

    def __init__(self) -> None:
        self.issuer = ""
        self.claims: dict[str, Any] = {"sub": "ada", "name": "Ada Lovelace", "groups": ["ledger-operators"]}
        self.access_claims: dict[str, Any] | None = None
        self.answer: dict[str, Any] = {"expires_in": 300}
        self.grants_refresh = True
        self.is_away = False
        self.refreshed = 0
        self.revoked: list[str] = []
        self.seen: dict[str, dict[str, str]] = {}
        self.refresh_tokens: dict[str, str] = {}
        self.rotate("first")
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/keys", self._told_keys),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
                Route("/revoke", self._revoke, methods=["POST"]),
            ]
        )

    def rotate(self, kid: str) -> None:
        """Sign with a new key from now on; the former is no longer told of."""
        self.kid, self._key = kid, ec.generate_private_key(ec.SECP256R1())

    def signed(self, **claims: Any) -> str:
        now = int(time.time())
        given = {"iss": self.issuer, "iat": now, "exp": now + 300, **self.claims, **claims}
        return jwt.encode(given, self._key, "ES256", {"kid": self.kid})

    async def _discovery(self, request: Request) -> Response:
        found = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "end_session_endpoint": f"{self.issuer}/end",
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(found, 503 if self.is_away else 200)

    async def _told_keys(self, request: Request) -> Response:
        key = {**orjson.loads(ECAlgorithm.to_jwk(self._key.public_key())), "kid": self.kid, "alg": "ES256"}
        return JSONResponse({"keys": [key]}, 503 if self.is_away else 200)

    async def _authorize(self, request: Request) -> Response:
        asked = dict(request.query_params)
        code = secrets.token_hex(8)
        self.seen[code] = asked
        back = urlencode({"code": code, "state": asked["state"], "iss": self.issuer})
        return RedirectResponse(f"{asked['redirect_uri']}?{back}", 303)

    async def _token(self, request: Request) -> Response:
        if self.is_away:
            return Response(status_code=503)
        form = await _form(request)
        nonce = self._redeemed(form) if form["grant_type"] == "authorization_code" else self._refreshed(form)
        if nonce is None or not _is_client(request):
            return JSONResponse({"error": "invalid_grant"}, 400)
        answer = {"access_token": self._access_token(), "token_type": "Bearer", **self.answer}
        if nonce:
            answer["id_token"] = self.signed(aud=CLIENT, nonce=nonce)
        if self.grants_refresh:
            answer["refresh_token"] = token = secrets.token_hex(8)
            self.refresh_tokens[token] = nonce
        return JSONResponse(answer)

    def _access_token(self) -> str:
        return secrets.token_hex(8) if self.access_claims is None else self.signed(**self.access_claims)

    def _redeemed(self, form: dict[str, str]) -> str | None:
        asked = self.seen.pop(form["code"], None)
        digest = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=").decode()
        is_same = asked and (asked["code_challenge"], asked["redirect_uri"]) == (digest, form["redirect_uri"])
        return asked["nonce"] if asked and is_same else None

    def _refreshed(self, form: dict[str, str]) -> str | None:
        nonce = self.refresh_tokens.pop(form["refresh_token"], None)
        self.refreshed += nonce is not None
        return nonce

    async def _revoke(self, request: Request) -> Response:
        token = (await _form(request))["token"]
        self.revoked.append(token)
        self.refresh_tokens.pop(token, None)
        return Response()


async def _form(request: Request) -> dict[str, str]:
    return dict(parse_qsl((await request.body()).decode()))


def _is_client(request: Request) -> bool:
    given = request.headers.get("authorization", "").removeprefix("Basic ")
    return base64.b64decode(given).decode() == "ledger:a+secret%3A+of+the+client%2F"


@asynccontextmanager
async def provided() -> AsyncGenerator[Provider]:
    """A provider on an address of its own."""
    provider = Provider()
    async with listening(provider.app) as url:
        provider.issuer = url
        yield provider


@asynccontextmanager
async def listening(app: Any) -> AsyncGenerator[str]:
    """Address of a server of this application."""
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None, ws="websockets-sansio"))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
