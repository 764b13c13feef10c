"""Bounds on what a document may ask for, checked before anything is executed."""

from typing import NamedTuple, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    StringValueNode,
    ValidationContext,
    ValidationRule,
    ValuesOfCorrectTypeRule,
)
from graphql.validation import validation_context
from graphql.validation.rules import overlapping_fields_can_be_merged

from gql_server.errors import ErrorCode

MAX_TOKENS = 2000
REQUEST_SECONDS = 30
"""Time that an operation over HTTP may take; its statement is cancelled with it."""
SUBSCRIPTIONS_PER_SOCKET = 100
SATURATED = 10**6
NUL = "\0"
NUL_REFUSED = "A string holds the character NUL (U+0000), which cannot be kept."


class Weight(NamedTuple):
    """Size of a selection with its fragments spread out; `width` counts only its own level."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0
    width: int = 0

    def beside(self, other: "Weight") -> "Weight":
        sums = (min(mine + theirs, SATURATED) for mine, theirs in zip(self[1:], other[1:], strict=True))
        return Weight(max(self.depth, other.depth), *sums)

    def under_field(self, *, aliased: bool) -> "Weight":
        return Weight(self.depth + 1, self.fields + 1, self.aliases + aliased, self.directives, width=1)


LIMITS = Weight(depth=20, fields=2000, aliases=100, directives=50, width=20)


class DocumentLimits(ValidationRule):
    """Weighs every fragment once, so that fragments that spread fragments cost no more to check than to write."""

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        definitions = context.document.definitions
        self._fragments = {node.name.value: node for node in definitions if isinstance(node, FragmentDefinitionNode)}
        self._weights: dict[str, Weight] = {}
        for node in definitions:
            if isinstance(node, OperationDefinitionNode):
                self._check(node)

    def _check(self, operation: OperationDefinitionNode) -> None:
        weight = self._weigh(operation.selection_set, frozenset())
        for name, found, limit in zip(Weight._fields, weight, LIMITS, strict=True):
            if found > limit:
                message = f"The operation exceeds the limit of {limit} for its {name}."
                self.report_error(GraphQLError(message, operation, extensions={"code": ErrorCode.BAD_USER_INPUT.value}))

    def _weigh(self, selections: SelectionSetNode | None, inside: frozenset[str]) -> Weight:
        total = Weight()
        for node in selections.selections if selections else ():
            own = Weight(directives=len(node.directives or ()))
            if isinstance(node, FieldNode):
                own = own.beside(self._weigh(node.selection_set, inside).under_field(aliased=node.alias is not None))
            elif isinstance(node, FragmentSpreadNode):
                own = own.beside(self._fragment(node.name.value, inside))
            elif isinstance(node, InlineFragmentNode):
                own = own.beside(self._weigh(node.selection_set, inside))
            total = total.beside(own)
        return total

    def _fragment(self, name: str, inside: frozenset[str]) -> Weight:
        """Unknown fragments and cycles weigh nothing: the rules of the specification report them."""
        if name in inside or name not in self._fragments:
            return Weight()
        if name not in self._weights:
            self._weights[name] = self._weigh(self._fragments[name].selection_set, inside | {name})
        return self._weights[name]


class NoNul(ValidationRule):
    """Refuses text that the database cannot hold."""

    def enter_string_value(self, node: StringValueNode, *_: object) -> None:
        if NUL in node.value:
            self.report_error(GraphQLError(NUL_REFUSED, node, extensions={"code": ErrorCode.BAD_USER_INPUT.value}))


def holds_nul(value: object) -> bool:
    """True if a string in this JSON value, or a name, holds NUL. No recursion: clients choose the depth."""
    rest = [value]
    while rest:
        match found := rest.pop():
            case str(text) if NUL in text:
                return True
            case dict():
                rest += [*cast(dict[str, object], found), *cast(dict[str, object], found).values()]
            case list():
                rest += cast(list[object], found)
            case _:
                pass
    return False


class ValuesWithCode(ValuesOfCorrectTypeRule):
    """Says that a value is at fault, not the document."""

    def report_error(self, error: GraphQLError) -> None:
        error.extensions = {"code": ErrorCode.BAD_USER_INPUT.value}
        super().report_error(error)


def bound_validation() -> None:
    """Lower graphql-core's process-wide budgets, whose defaults allow seconds of CPU time for one document."""
    overlapping_fields_can_be_merged.MAX_COMPLEXITY_BUDGET = 20_000
    validation_context.MAX_FRAGMENT_WORK = 10_000
