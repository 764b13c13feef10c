"""The settings of a year: what they may hold, what they are at first, and how a patch changes them."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, create_model

from gql_server.carbon.catalog import HEADCOUNT, MODULES, DataEntryTypeInfo, Module, entry_type_named, module_by_key
from gql_server.carbon.formats import takes_entries
from gql_server.db import dumps
from gql_server.errors import BadInput

MAX_BYTES = 256 * 1024
TAGS = ("low", "medium", "high", "none")
OBJECTIVES = ("institutional_footprint", "population_projections", "unit_scenarios")


def default_config(enables: Callable[..., bool] = takes_entries) -> dict[str, Any]:
    """The modules and entry types that this server can read are enabled, or those of which `enables` says so by their numbers;
    nothing is configured further."""
    return {
        "modules": {
            str(module.id): {
                "enabled": enables(module.id),
                "uncertainty_tag": "medium",
                "submodules": {
                    str(info.id): {"enabled": enables(module.id, info.id), "threshold": None}
                    for info in module.data_entry_types
                },
            }
            for module in MODULES.values()
        },
        "reduction_objectives": {
            **{objective: [] for objective in OBJECTIVES},
            "files": dict.fromkeys(OBJECTIVES),
            "goals": [],
        },
    }


def patched(config: Mapping[str, Any], patch: Mapping[str, Any], year: int) -> dict[str, Any]:
    """The settings of that year after a patch. Raises BadInput with the path of what is refused."""
    check(patch, year)
    changed = merge(config, _by_number(patch))
    if len(dumps(changed)) > MAX_BYTES:
        raise BadInput(f"the settings of a year hold at most {MAX_BYTES} bytes of JSON", argument="config", path="")
    return changed


def numbered(pointer: Sequence[str]) -> tuple[str, ...]:
    """The path in the settings, which are kept by number, of one that may name its module and its entry type by key."""
    tokens = list(pointer)
    if tokens[:1] == ["modules"]:
        tokens[1:2] = [_number(token, module_by_key(token)) for token in tokens[1:2]]
        if tokens[2:3] == ["submodules"]:
            tokens[3:4] = [_number(token, entry_type_named(token)) for token in tokens[3:4]]
    return tuple(tokens)


def _number(token: str, found: Module | DataEntryTypeInfo | None) -> str:
    return str(found.id) if found else token


def _by_number(patch: Mapping[str, Any], *path: str) -> dict[str, Any]:
    """A patch that was checked, with its modules and entry types by number. Raises BadInput for one that is named twice."""
    found: dict[str, Any] = {}
    for key, value in patch.items():
        here = (*path, key)
        inner = _by_number(value, *here) if isinstance(value, Mapping) and here[0] == "modules" else value
        if (number := numbered(here)[-1]) in found:
            pointer = "/" + "/".join(here)
            raise BadInput(f"config{pointer}: this is given by its number as well", argument="config", path=pointer)
        found[number] = inner
    return found


def merge(config: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Objects are merged key by key at every depth; anything else, arrays included, is replaced."""
    return {**config, **{key: _merged(config.get(key), value) for key, value in patch.items()}}


def _merged(before: object, value: object) -> object:
    if not isinstance(value, Mapping):
        return value
    return merge(
        cast(Mapping[str, Any], before) if isinstance(before, Mapping) else {},
        cast(Mapping[str, Any], value),
    )


def check(patch: Mapping[str, Any], year: int) -> None:
    """Raises BadInput unless every value is one that the settings of that year may hold; nothing is required.

    `path` of the error is a JSON Pointer to the first value refused.
    """
    try:
        # as it will be stored: what is no JSON is refused here, and NaN is null
        _Configuration.model_validate_json(dumps(dict(patch)), context=year)
    except TypeError as error:
        raise BadInput(f"config is not JSON: {error}", argument="config", path="") from None
    except ValidationError as invalid:
        error = invalid.errors(include_url=False, include_input=False, include_context=False)[0]
        path = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"])
        raise BadInput(f"config{path}: {_reason(error)}", argument="config", path=path) from None


def _reason(error: Mapping[str, Any]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return "this key is unknown"
        case "literal_error":
            return f"must be one of: {', '.join(TAGS)}"
        case _:
            return error["msg"].removeprefix("Value error, ")


def _object(name: str, /, **members: Any) -> type[BaseModel]:
    """An object with these keys and no others, none of them required."""
    fields: dict[str, Any] = {key: (member, None) for key, member in members.items()}
    return create_model(name, __config__=ConfigDict(extra="forbid", strict=True), **fields)


def _text(value: str) -> str:
    if "\0" in value:
        raise ValueError("text must not hold the character U+0000")
    return value


def _scalar(value: object) -> object:
    if isinstance(value, dict | list):
        raise ValueError("must be text, a number, a boolean or null")
    return _text(value) if isinstance(value, str) else value


def _after_its_year(target: int, info: ValidationInfo[int]) -> int:
    if target <= info.context:
        raise ValueError(f"must be after {info.context}")
    return target


def _module(module: Module) -> type[BaseModel]:
    threshold: Any = None if module.id == HEADCOUNT else Annotated[float | None, Field(ge=0)]
    submodule = _object("Submodule", enabled=bool, threshold=threshold)
    submodules = _object(
        "Submodules", **{name: submodule for info in module.data_entry_types for name in (str(info.id), info.key)}
    )
    return _object(module.key, enabled=bool, uncertainty_tag=Literal[*TAGS], submodules=submodules)


_Row = Annotated[
    dict[Annotated[str, Field(max_length=100), AfterValidator(_text)], Annotated[Any, AfterValidator(_scalar)]],
    Field(max_length=20),
]


class _Goal(BaseModel, extra="forbid", strict=True):
    target_year: Annotated[int, Field(le=9999), AfterValidator(_after_its_year)]
    reduction_percentage: Annotated[float, Field(ge=0, le=1)]
    reference_year: Annotated[int | None, Field(ge=0, le=9999)] = None


_Configuration = _object(
    "Configuration",
    modules=_object(
        "Modules", **{name: _module(module) for module in MODULES.values() for name in (str(module.id), module.key)}
    ),
    reduction_objectives=_object(
        "ReductionObjectives",
        **dict.fromkeys(OBJECTIVES, Annotated[list[_Row], Field(max_length=5_000)]),
        files=_object("Files", **dict.fromkeys(OBJECTIVES, _Row | None)),
        goals=Annotated[list[_Goal], Field(max_length=100)],
    ),
)
