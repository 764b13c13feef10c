"""Operations as they come in: parsed, validated and weighed once for a document, however often and by whomever it is asked."""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, lru_cache
from hashlib import sha256
from itertools import islice
from typing import Any, cast

from graphql import (
    DocumentNode,
    FieldNode,
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLNonNull,
    GraphQLSchema,
    ListTypeNode,
    NamedTypeNode,
    NonNullTypeNode,
    OperationDefinitionNode,
    TypeInfo,
    TypeNode,
    ValidationContext,
    ValuesOfCorrectTypeRule,
    VariableNode,
    Visitor,
    parse,
    specified_rules,
    validate,
    visit,
)
from graphql.language import ArgumentNode
from strawberry.exceptions import MissingQueryError
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule
from strawberry.types.graphql import OperationType

from gql_server.errors import ErrorCode
from gql_server.execution import Prototype
from gql_server.graph.cost.prices import Prices, price_of_input
from gql_server.graph.cost.pricing import INT_MAX, dry_run, has_price
from gql_server.graph.document_limits import (
    MAX_ERRORS,
    MAX_TOKENS,
    HeldLiterals,
    ValuesWithCode,
    exceeded,
    refused_variables,
)

INVALID = "invalid"
"""Label of documents that are not executed, whatever they are."""
KEPT = 128
KEPT_CHARACTERS_MAX = 16_384
"""Longer documents are prepared each time, so that what is kept stays small."""
ESTIMATES_KEPT = 64
DIGEST_CHARACTERS = 12
NONE = "The document has no operation."
SEVERAL = "The document has several operations: say which one in `operationName`."
NULL_REFUSED = "Variable '${}' may not be null: it stands where a value is required. Leave it out for its default."
SIZING = frozenset({"first", "last", "if"})
RULES = (
    HeldLiterals,
    *(ValuesWithCode if rule is ValuesOfCorrectTypeRule else rule for rule in specified_rules),
    MaybeNullValidationRule,
    OneOfInputValidationRule,
)


class NoOperation(CannotGetOperationTypeError):
    """No operation of that name, or none that is meant for another reason."""

    def __init__(self, name: str | None, reason: str) -> None:
        super().__init__(name)
        self._reason = reason

    def as_http_error_reason(self) -> str:
        return self._reason if self.operation_name is None else super().as_http_error_reason()


class Prepared:
    """An operation of a document, with what is wrong with it before anything is known of its variables."""

    def __init__(
        self,
        schema: GraphQLSchema,
        query: str,
        document: DocumentNode | None,
        name: str | None,
        errors: Sequence[GraphQLError] = (),
        *,
        is_undecided: bool = False,
    ) -> None:
        self._schema, self.length = schema, len(query)
        self.document, self.name, self._errors = document, name, errors
        self._is_undecided = is_undecided
        self.digest = ""
        self.prototype: Prototype | None = None
        """All that its executions have in common, once there was one."""
        self._estimates: dict[Any, int] = {}

    @cached_property
    def operation(self) -> OperationDefinitionNode | None:
        nodes = self.document.definitions if self.document else ()
        operations = (node for node in nodes if isinstance(node, OperationDefinitionNode))
        return next((node for node in operations if self.name is None or (node.name and node.name.value == self.name)), None)

    @cached_property
    def type(self) -> OperationType:
        """Raises NoOperation when there is none of that name, or no name for one of several."""
        if self.operation is None:
            raise NoOperation(self.name, NONE)
        if self._is_undecided:
            raise NoOperation(None, SEVERAL)
        return OperationType(self.operation.operation.value)

    @cached_property
    def kind(self) -> str:
        """Its type as text, `invalid` where there is no operation."""
        return self.operation.operation.value if self.operation else INVALID

    def errors(self, variables: Mapping[str, Any] | None) -> list[GraphQLError]:
        """Errors of the operation, and of the values of its variables that nothing else looks at before it is executed."""
        if self._errors or not variables:
            return [*self._errors]
        if reason := refused_variables(variables):
            return [_refusal(reason)]
        nulls = [name for name, value in variables.items() if value is None]
        return [_refusal(NULL_REFUSED.format(name)) for name in nulls if name in self._required]

    @property
    def is_refused(self) -> bool:
        """It is not executed, whatever its variables."""
        return bool(self._errors)

    @cached_property
    def _required(self) -> frozenset[str]:
        """Variables with a default that stand where null may not, although their own type has it."""
        if self.operation is None or self.document is None:
            return frozenset()
        context = ValidationContext(self._schema, self.document, TypeInfo(self._schema), lambda error: None)
        usages = cast(Sequence[Any], context.get_recursive_variable_usages(self.operation))
        required = {usage.node.name.value for usage in usages if isinstance(usage.type, GraphQLNonNull)}
        given = self.operation.variable_definitions or ()
        return frozenset(each.variable.name.value for each in given if each.default_value) & required

    @cached_property
    def introspects(self) -> bool:
        """True if the document asks for the schema."""
        assert self.document is not None
        found = _Introspection()
        visit(self.document, found)
        return found.is_there

    def estimate(self, prices: Prices, variables: Mapping[str, Any] | None, most: int) -> int:
        """Cost of the operation, remembered for the same values of the variables on which that depends."""
        assert self.document is not None
        key = (most, *self._priced(prices, variables)) if variables else (most,)
        try:
            known = self._estimates.get(key)
        except TypeError:  # a value that cannot be hashed is none that may stand there
            return min(prices.estimate(self.document, self.name, variables, most), INT_MAX)
        if known is None:
            if len(self._estimates) >= ESTIMATES_KEPT:
                self._estimates.clear()
            known = self._estimates[key] = min(prices.estimate(self.document, self.name, variables, most), INT_MAX)
        return known

    def _priced(self, prices: Prices, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """Everything of the variables that the price depends on."""
        values = [given.get(name) for name in self._variables.sizing]
        weights = [self._weight(prices, name, given.get(name)) for name in self._variables.weighed]
        names = (*self._variables.sizing, *self._variables.weighed)
        return (*values, *map(type, values), *weights, *[name in given for name in names])

    def dry(self, variables: Mapping[str, Any] | None) -> DocumentNode | None:
        """The document with nothing but its price, if that alone is asked for."""
        assert self.document is not None
        return dry_run(self.document, self.name, variables) if self._has_price else None

    @cached_property
    def _has_price(self) -> bool:
        assert self.document is not None
        return has_price(self.document)

    def _weight(self, prices: Prices, name: str, value: object) -> int:
        """Part that the value of a variable has in the price."""
        declared = self._declared.get(name)
        type_ = prices.schema.type_map.get(declared) if declared else None
        return price_of_input(type_, value) if isinstance(type_, GraphQLInputObjectType) else value not in (None, "")

    @cached_property
    def _declared(self) -> Mapping[str, str]:
        """Names of the types of the variables."""
        definitions = (self.operation and self.operation.variable_definitions) or ()
        return {node.variable.name.value: _named(node.type) for node in definitions}

    @cached_property
    def _variables(self) -> "_Variables":
        """Variables on which the price depends."""
        assert self.document is not None
        found = _Variables()
        visit(self.document, found)
        return found


class _NotKept(Exception):
    def __init__(self, prepared: Prepared) -> None:
        super().__init__()
        self.prepared = prepared


class Operations:
    """The operations of one schema."""

    def __init__(self, schema: GraphQLSchema) -> None:
        self._schema = schema
        self._kept: Callable[[str, str | None], Prepared] = lru_cache(maxsize=KEPT)(self._executable)

    def prepared(self, query: str | None, name: str | None) -> Prepared:
        """The operation of that name, or the only one. Raises MissingQueryError, CannotGetOperationTypeError."""
        if not query:
            raise MissingQueryError
        if len(query) > KEPT_CHARACTERS_MAX:
            return self._prepare(query, name)
        try:
            return self._kept(query, name)
        except _NotKept as refused:
            return refused.prepared

    def _executable(self, query: str, name: str | None) -> Prepared:
        """Raises _NotKept for what is refused: it would be kept with all its errors, which are many times as large."""
        prepared = self._prepare(query, name)
        if prepared.is_refused:
            raise _NotKept(prepared)
        return prepared

    def _prepare(self, query: str, name: str | None) -> Prepared:
        prepared = self._read(query, name)
        prepared.digest = sha256(query.encode("utf-8", "replace")).hexdigest()[:DIGEST_CHARACTERS]
        return prepared

    def _read(self, query: str, name: str | None) -> Prepared:
        try:
            document = parse(query, max_tokens=MAX_TOKENS)
        except GraphQLError as error:
            return Prepared(self._schema, query, None, name, [error])
        except Exception as error:
            return Prepared(self._schema, query, None, name, [GraphQLError(str(error), original_error=error)])
        operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
        first = operations[0].name if operations else None
        chosen = first.value if name is None and first is not None else name
        errors = [*islice(exceeded(document), MAX_ERRORS)]  # first: what is too large is not worth more work
        errors = errors or [_coded(error) for error in validate(self._schema, document, RULES, MAX_ERRORS)]
        is_undecided = not errors and name is None and len(operations) > 1
        if is_undecided:
            errors = [_refusal(SEVERAL)]
        return Prepared(self._schema, query, document, chosen, errors, is_undecided=is_undecided)


def _coded(error: GraphQLError) -> GraphQLError:
    if "code" not in (error.extensions or {}):
        error.extensions = {"code": ErrorCode.GRAPHQL_VALIDATION_FAILED.value}
    return error


def _refusal(message: str) -> GraphQLError:
    return GraphQLError(message, extensions={"code": ErrorCode.BAD_USER_INPUT.value})


def _named(node: TypeNode) -> str:
    while not isinstance(node, NamedTypeNode):
        node = cast(ListTypeNode | NonNullTypeNode, node).type
    return node.name.value


class _Introspection(Visitor):
    """Looks for the fields that tell of the schema."""

    is_there = False

    def enter_field(self, node: FieldNode, *_: object) -> None:
        self.is_there = self.is_there or node.name.value in ("__schema", "__type")


class _Variables(Visitor):
    """Collects the variables that stand in arguments on which a price depends: `sizing` by their value, `weighed` by whether
    they are given, and what in them is."""

    def __init__(self) -> None:
        super().__init__()
        self.sizing: dict[str, None] = {}
        self.weighed: dict[str, None] = {}
        self._is_weighed = False

    def enter_argument(self, node: ArgumentNode, *_: object) -> None:
        self._is_weighed = node.name.value not in SIZING
        if not self._is_weighed and isinstance(node.value, VariableNode):
            self.sizing[node.value.name.value] = None

    def enter_variable(self, node: VariableNode, *_: object) -> None:
        if self._is_weighed:
            self.weighed[node.name.value] = None

    def leave_argument(self, *_: object) -> None:
        self._is_weighed = False
