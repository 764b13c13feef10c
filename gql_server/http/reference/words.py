"""Words and links by which pages show types, defaults, prices and permissions."""

# graphql-core does not say what its wrapping types wrap
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

from typing import Any

from graphql import (
    DirectiveNode,
    GraphQLType,
    ListValueNode,
    NullValueNode,
    ValueNode,
    get_named_type,
    is_specified_scalar_type,
    print_ast,
)
from markdown_it import MarkdownIt
from markupsafe import Markup, escape

DENIED = {
    "REDACT": "else null, and counted in extensions.redactions",
    "ERROR": "else null, with an error FORBIDDEN",
    "PROBLEM": "else a ForbiddenProblem",
    "HIDE": "else as if it were not there",
}

_markdown = MarkdownIt("commonmark", {"html": False, "linkify": False}).disable("image")


def described(text: str | None) -> Markup:
    """A description, which is Markdown without HTML."""
    return Markup(_markdown.render(text or ""))


def first_sentence(text: str | None) -> Markup:
    """Its beginning, for lists."""
    sentence = (text or "").partition(". ")[0].partition("\n")[0].removesuffix(".")
    return Markup(_markdown.renderInline(sentence))


def linked(type_: GraphQLType, base: str) -> Markup:
    """A type as it is written, whose name leads to its page."""
    named = get_named_type(type_)
    before, name, after = str(type_).partition(named.name)
    if is_specified_scalar_type(named):
        return Markup("<code>{}{}{}</code>").format(before, name, after)
    return Markup('<code>{}<a href="{}/docs/{}">{}</a>{}</code>').format(before, base, name, name, after)


def link_to(coordinate: str, base: str) -> Markup:
    """A type, a field or a member of an enum, which leads to where it is described."""
    owner, _, member = coordinate.partition(".")
    anchor = f"#{member}" if member else ""
    return Markup('<a href="{}/docs/{}{}"><code>{}</code></a>').format(base, owner, anchor, coordinate)


def default_of(argument: Any) -> str:
    """The default of an argument or an input field, as it is written; nothing without one."""
    node = argument.ast_node and argument.ast_node.default_value
    return f" = {print_ast(node)}" if node else ""


def facts(element: Any) -> list[Markup]:
    """Sentences on permission, price, nulls and promise, of a field or a type, from its directives."""
    nodes = (element.ast_node and element.ast_node.directives) or ()
    return [sentence for node in nodes if (sentence := _fact(node.name.value, _arguments(node))) is not None]


def _fact(name: str, given: dict[str, str]) -> Markup | None:
    match name:
        case "access":
            return Markup("needs <code>{}</code>, {}").format(given["permission"], DENIED[given.get("onDenied", "REDACT")])
        case "cost":
            return Markup("costs {}").format(given["weight"])
        case "listSize":
            return _list_size(given)
        case "semanticNonNull":
            return Markup("null only with an error")
        case "experimental":
            return Markup("experimental since {}: may change or vanish in any release").format(given["since"])
        case _:
            return None


def _list_size(given: dict[str, str]) -> Markup:
    assumed = Markup("as if they were {}").format(given["assumedSize"]) if "assumedSize" in given else None
    slicing = Markup("by <code>{}</code>").format(given["slicingArguments"]) if "slicingArguments" in given else None
    return Markup("its elements are counted ") + escape(", else ").join(each for each in (slicing, assumed) if each)


def _arguments(node: DirectiveNode) -> dict[str, str]:
    given = [each for each in node.arguments or () if not isinstance(each.value, NullValueNode)]
    return {each.name.value: ", ".join(_values(each.value)) for each in given}


def _values(node: ValueNode) -> list[str]:
    """The values of a list, or the one."""
    nodes = node.values if isinstance(node, ListValueNode) else (node,)
    return [str(getattr(each, "value", None) or print_ast(each)) for each in nodes]
