"""Operations as they come in: parsed, validated and weighed once for a document, however often and by whomever it is asked."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from typing import Any

from graphql import (
    DocumentNode,
    GraphQLError,
    OperationDefinitionNode,
    ValuesOfCorrectTypeRule,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    visit,
)
from graphql.language import ArgumentNode
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.schema.schema import validate_document
from strawberry.types.graphql import OperationType

from gql_server.errors import ErrorCode
from gql_server.graph.cost.prices import Prices
from gql_server.graph.cost.pricing import INT_MAX, dry_run, has_price
from gql_server.graph.document_limits import MAX_TOKENS, NUL_REFUSED, DocumentLimits, NoNul, ValuesWithCode, holds_nul

KEPT = 128
KEPT_CHARACTERS_MAX = 16_384
"""Longer documents are prepared each time, so that what is kept stays small."""
ESTIMATES_KEPT = 64
DIGEST_CHARACTERS = 12
SEVERAL = "The document has several operations: say which one in `operationName`."
SIZING = frozenset({"first", "last", "if"})
RULES = (DocumentLimits, NoNul, *(ValuesWithCode if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules))


class Prepared:
    """An operation of a document, with what is wrong with it before anything is known of its variables."""

    def __init__(self, document: DocumentNode | None, name: str | None, errors: Sequence[GraphQLError]) -> None:
        self.document, self.name, self._errors = document, name, errors
        self.digest = ""
        self._estimates: dict[Any, int] = {}

    @cached_property
    def operation(self) -> OperationDefinitionNode | None:
        nodes = self.document.definitions if self.document else ()
        operations = (node for node in nodes if isinstance(node, OperationDefinitionNode))
        return next((node for node in operations if self.name is None or (node.name and node.name.value == self.name)), None)

    @property
    def type(self) -> OperationType:
        """Raises CannotGetOperationTypeError when there is no operation of that name."""
        if self.operation is None:
            raise CannotGetOperationTypeError(self.name)
        return OperationType(self.operation.operation.value)

    def errors(self, variables: Mapping[str, Any] | None) -> list[GraphQLError]:
        """Errors of the operation, and of the text in its variables."""
        if not self._errors and holds_nul(variables):
            return [_refusal(NUL_REFUSED)]
        return [*self._errors]

    def estimate(self, prices: Prices, variables: Mapping[str, Any] | None, most: int) -> int:
        """Cost of the operation, remembered for the same values of the variables on which that depends."""
        assert self.document is not None
        given = variables or {}
        values = [given.get(name) for name in self._sizing]
        key = (most, *values, *map(type, values), *(name in given for name in self._sizing))
        try:
            known = self._estimates.get(key)
        except TypeError:  # a value that cannot be hashed is none that may stand there
            return min(prices.estimate(self.document, self.name, variables, most), INT_MAX)
        if known is None:
            if len(self._estimates) >= ESTIMATES_KEPT:
                self._estimates.clear()
            known = self._estimates[key] = min(prices.estimate(self.document, self.name, variables, most), INT_MAX)
        return known

    def dry(self, variables: Mapping[str, Any] | None) -> DocumentNode | None:
        """The document with nothing but its price, if that alone is asked for."""
        assert self.document is not None
        return dry_run(self.document, self.name, variables) if self._has_price else None

    @cached_property
    def _has_price(self) -> bool:
        assert self.document is not None
        return has_price(self.document)

    @cached_property
    def _sizing(self) -> Sequence[str]:
        """Variables that say how long lists are, or what is selected."""
        assert self.document is not None
        found = _Sizing()
        visit(self.document, found)
        return [*found.names]


class Operations:
    """The operations of one schema."""

    def __init__(self, schema: Any) -> None:
        self._schema = schema
        self._kept: Callable[[str, str | None], Prepared] = lru_cache(maxsize=KEPT)(self._prepare)

    def prepared(self, query: str | None, name: str | None) -> Prepared:
        """The operation of that name, or the only one. Raises MissingQueryError, CannotGetOperationTypeError."""
        if not query:
            raise MissingQueryError
        return self._kept(query, name) if len(query) <= KEPT_CHARACTERS_MAX else self._prepare(query, name)

    def _prepare(self, query: str, name: str | None) -> Prepared:
        prepared = self._read(query, name)
        prepared.digest = sha256(query.encode("utf-8", "replace")).hexdigest()[:DIGEST_CHARACTERS]
        return prepared

    def _read(self, query: str, name: str | None) -> Prepared:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            return Prepared(None, name, [error])
        except Exception as error:
            return Prepared(None, name, [GraphQLError(str(error), original_error=error)])
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        first = operations[0].name if operations else None
        chosen = first.value if name is None and first is not None else name
        errors = [_coded(error) for error in validate_document(self._schema, document, RULES)]
        if not errors and name is None and len(operations) > 1:
            errors = [_refusal(SEVERAL)]
        return Prepared(document, chosen, errors)


def _coded(error: GraphQLError) -> GraphQLError:
    if "code" not in (error.extensions or {}):
        error.extensions = {"code": ErrorCode.GRAPHQL_VALIDATION_FAILED.value}
    return error


def _refusal(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": ErrorCode.BAD_USER_INPUT.value})


class _Sizing(Visitor):
    """Collects the variables that stand in arguments on which a price depends."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        if node.name.value in SIZING and isinstance(node.value, VariableNode):
            self.names[node.value.name.value] = None
