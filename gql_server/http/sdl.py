"""GET /schema.graphql: the schema definition, which tools fetch again only when it has changed."""

import hashlib
from collections.abc import Callable
from functools import cached_property

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gql_server.errors import Forbidden, PublicError
from gql_server.http.cookies import credentials_of
from gql_server.http.identity import Authenticate, viewer_of
from gql_server.http.uploads import refusal
from gql_server.policy import API_EXPLORE, Viewer


class SchemaDefinition:
    """The endpoint. `authenticate` turns credentials into a viewer or raises Unauthenticated; `explores` says whether one may
    see the schema; `is_public` that anybody may."""

    def __init__(
        self,
        print_schema: Callable[[], str],
        authenticate: Authenticate,
        explores: Callable[[Viewer], bool],
        *,
        is_public: bool = False,
    ) -> None:
        self._print_schema, self._authenticate, self._explores, self._is_public = (
            print_schema,
            authenticate,
            explores,
            is_public,
        )

    async def check(self, request: Request) -> None:
        """Raises a public error for those who may not see the schema."""
        if not self._is_public:
            viewer = await viewer_of(self._authenticate, credentials_of(request.scope))
            if not self._explores(viewer):
                raise Forbidden("you may not see the schema", permission=API_EXPLORE)

    async def get(self, request: Request) -> Response:
        try:
            await self.check(request)
        except PublicError as error:
            return refusal(error)
        headers = {"ETag": self._tag, "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Authorization, Cookie"}
        if self._tag in {tag.strip() for tag in request.headers.get("if-none-match", "").split(",")}:
            return Response(status_code=304, headers=headers)
        return PlainTextResponse(self._text, headers=headers)

    @cached_property
    def _text(self) -> str:
        return self._print_schema()

    @cached_property
    def _tag(self) -> str:
        """Weak, because it is sent compressed as well. The digest is `api { schemaHash }`."""
        return f'W/"{hashlib.sha256(self._text.encode()).hexdigest()}"'
