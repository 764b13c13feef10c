"""Bounds on what a document may ask for, checked before anything is executed."""

import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, cast

from graphql import (
    DefinitionNode,
    DocumentNode,
    FieldNode,
    FloatValueNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    IntValueNode,
    ListValueNode,
    Node,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValidationContext,
    ValidationRule,
    ValueNode,
    ValuesOfCorrectTypeRule,
)
from graphql.language.visitor import SKIP, VisitorAction
from graphql.pyutils import RefMap
from graphql.validation import validation_context
from graphql.validation.rules import overlapping_fields_can_be_merged

from gql_server.errors import ErrorCode

MAX_TOKENS = 2000
MAX_ERRORS = 5
"""Errors after which validation, and the coercion of variables, stop."""
MAX_VALUES = 10_000
"""Values in the variables of an operation, those inside of others too."""
MAX_DIGITS = 400
MAX_OPERATIONS = 50
MAX_KEYS = 100
"""Fields of an object in a document: each error about one shows all of them."""
REQUEST_SECONDS = 30
"""Time that an operation over HTTP may take; its statement is cancelled with it."""
SUBSCRIPTIONS_PER_SOCKET = 100
SATURATED = 10**6
NUL = "\0"
NUL_REFUSED = "A string holds the character NUL (U+0000), which cannot be kept."


class Weight(NamedTuple):
    """Size of a selection with its fragments spread out; `root_fields` counts only its own level."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    root_fields: int = 0

    def beside(self, other: "Weight") -> "Weight":
        sums = (min(mine + theirs, SATURATED) for mine, theirs in zip(self[1:], other[1:], strict=True))
        return Weight(max(self.depth, other.depth), *sums)

    def under_field(self, *, aliased: bool) -> "Weight":
        return Weight(self.depth + 1, self.fields + 1, self.aliases + aliased, self.directives, root_fields=1)


LIMITS = Weight(depth=20, fields=2000, aliases=100, directives=50, root_fields=20)


class DocumentLimits(ValidationRule):
    """Reports the limits that a document exceeds."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        for error in exceeded(context.document):
            self.report_error(error)


def exceeded(document: DocumentNode) -> Iterator[GraphQLError]:
    """The limits that a document exceeds, found without looking at the schema."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) > MAX_OPERATIONS:
        yield _refused(f"The document exceeds the limit of {MAX_OPERATIONS} for its operations.")
        return
    if _directives(document.definitions) > LIMITS.directives:
        yield _refused(f"The definitions exceed the limit of {LIMITS.directives} for their directives.")
    fragments = _Fragments(document)
    for operation in operations:
        weight = fragments.weigh(operation.selection_set)
        for name, found, limit in zip(Weight._fields, weight, LIMITS, strict=True):
            if found > limit:
                yield _refused(f"The operation exceeds the limit of {limit} for its {name.replace('_', ' ')}.", operation)


def _refused(message: str, node: Node | None = None) -> GraphQLError:
    return GraphQLError(message, node, extensions={"code": ErrorCode.BAD_USER_INPUT.value})


def _directives(definitions: Iterable[DefinitionNode]) -> int:
    """Number of those that stand on definitions and on variables."""
    on_definitions = sum(len(getattr(node, "directives", None) or ()) for node in definitions)
    variables = (each for node in definitions for each in getattr(node, "variable_definitions", None) or ())
    return on_definitions + sum(len(each.directives or ()) for each in variables)


class _Fragments:
    """Weighs every fragment once, so that fragments that spread fragments cost no more to check than to write."""

    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
        self._weights: dict[str, Weight] = {}

    def weigh(self, selections: SelectionSetNode | None, inside: frozenset[str] = frozenset()) -> Weight:
        nodes = selections.selections if selections else ()
        leaves = [node for node in nodes if isinstance(node, FieldNode) and node.selection_set is None]
        total = Weight(
            depth=bool(leaves),
            fields=len(leaves),
            aliases=sum(node.alias is not None for node in leaves),
            directives=sum(len(node.directives) for node in nodes if node.directives),
            root_fields=len(leaves),
        )
        for node in nodes:
            if isinstance(node, FragmentSpreadNode):
                total = total.beside(self._fragment(node.name.value, inside))
            elif isinstance(node, InlineFragmentNode):
                total = total.beside(self.weigh(node.selection_set, inside))
            elif isinstance(node, FieldNode) and node.selection_set:
                below = self.weigh(node.selection_set, inside)
                total = total.beside(below.under_field(aliased=node.alias is not None))
        return total

    def _fragment(self, name: str, inside: frozenset[str]) -> Weight:
        """Unknown fragments and cycles weigh nothing: the rules of the specification report them."""
        if name in inside or name not in self._fragments:
            return Weight()
        if name not in self._weights:
            self._weights[name] = self.weigh(self._fragments[name].selection_set, inside | {name})
        return self._weights[name]


class HeldLiterals(ValidationRule):
    """Refuses text that the database cannot hold, and numbers that no number here is as long as."""

    def enter_int_value(self, node: IntValueNode, *_: object) -> None:
        self._check(node)

    def enter_float_value(self, node: FloatValueNode, *_: object) -> None:
        self._check(node)

    def _check(self, node: IntValueNode | FloatValueNode) -> None:
        if len(node.value) > MAX_DIGITS:
            self.report_error(_refused(f"A number has more than {MAX_DIGITS} digits.", node))

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if NUL in node.value:
            self.report_error(_refused(NUL_REFUSED, node))


def refused_variables(variables: object) -> str | None:
    """Reason not to look at these variables: one holds NUL, or they are too many. No recursion: clients choose the depth."""
    rest, count = [variables], 0
    while rest:
        count += 1
        match found := rest.pop():
            case str(text) if NUL in text:
                return NUL_REFUSED
            case dict():
                rest += [*cast(dict[str, object], found), *cast(dict[str, object], found).values()]
            case list():
                rest += cast(list[object], found)
            case _:
                pass
        if count + len(rest) > MAX_VALUES:
            return f"The variables hold more than {MAX_VALUES} values."
    return None


class ValuesWithCode(ValuesOfCorrectTypeRule):
    """Says that a value is at fault, not the document. Of an object of too many fields nothing else is said."""

    def is_valid_value_node(self, node: ValueNode, input_type: Any) -> VisitorAction:
        if not _is_too_wide(node):
            return cast(Any, super()).is_valid_value_node(node, input_type)
        self.report_error(_refused(f"An object has more than {MAX_KEYS} fields.", node))
        return SKIP

    def report_error(self, error: GraphQLError) -> None:
        error.extensions = {"code": ErrorCode.BAD_USER_INPUT.value}
        super().report_error(error)


def _is_too_wide(value: ValueNode) -> bool:
    """True if the value, or one inside of it, is an object of too many fields."""
    rest = [value]
    while rest:
        match rest.pop():
            case ObjectValueNode(fields=fields):
                if len(fields) > MAX_KEYS:
                    return True
                rest += [field.value for field in fields]
            case ListValueNode(values=values):
                rest += values
            case _:
                pass
    return False


class _Context(validation_context.ValidationContext):
    """Remembers what it has found of a node by that node itself: to look it up by its content would be to hash all that it
    holds, again and again."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        found: Any = self
        found._fragment_spreads, found._variable_usages, found._recursive_variable_usages = RefMap(), RefMap(), RefMap()


def bound_validation() -> None:
    """Lower graphql-core's process-wide budgets, whose defaults allow seconds of CPU time for one document, and what it costs
    to remember."""
    cast(Any, sys.modules["graphql.validation.validate"]).ValidationContext = _Context
    overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 20_000
    validation_context.MAX_FRAGMENT_WORK = 10_000
