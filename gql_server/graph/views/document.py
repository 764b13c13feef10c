"""Checks of documents that are kept: of saved views, and trusted ones."""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLError, GraphQLSchema, OperationDefinitionNode, parse, specified_rules, validate
from graphql.execution.values import get_variable_values

from gql_server.errors import BadInput
from gql_server.graph.document_limits import MAX_TOKENS, DocumentLimits, HeldLiterals


def check_document(schema: GraphQLSchema, text: str, variables: Mapping[str, Any] | None) -> None:
    """Raises BadInput unless the text is one operation that this schema would execute, and these are values of its variables.
    Others may be given later."""
    try:
        document = parse(text, max_tokens=MAX_TOKENS)
    except GraphQLError as error:
        raise BadInput(error.message, argument="document") from None
    if errors := validate(schema, document, rules=[*specified_rules, DocumentLimits, HeldLiterals], max_errors=1):
        raise BadInput(errors[0].message, argument="document")
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1:
        raise BadInput("the document must have exactly one operation", argument="document")
    declared = {definition.variable.name.value: definition for definition in operations[0].variable_definitions or ()}
    for name, value in (variables or {}).items():
        if name not in declared:
            raise BadInput(f"the document declares no variable ${name}", argument="variables", path=f"/{name}")
        refused = get_variable_values(schema, [declared[name]], {name: value}, max_errors=1)
        if isinstance(refused, list):
            raise BadInput(refused[0].message, argument="variables", path=f"/{name}")
