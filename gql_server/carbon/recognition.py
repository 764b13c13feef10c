"""Kinds of files that are told by their columns, with the parameters that each is uploaded with."""

from collections.abc import Sequence

from gql_server.carbon.catalog import DATA_ENTRY_TYPES, MODULES, PURCHASE
from gql_server.carbon.columns import FileKind
from gql_server.carbon.formats import ENTRY_FORMATS, FACTOR_FORMATS, EntryFormat, FactorFormat, columns_of
from gql_server.carbon.reference import reference_format


def _entries(format: EntryFormat) -> FileKind:
    module = MODULES[format.module_id].key
    columns = columns_of(format, many_units=False)
    if format.needs_factor:
        return FileKind(f"data of {module}", f"target=data and module={module}", columns)
    entry_type = DATA_ENTRY_TYPES[format.data_entry_types[0]].key
    return FileKind(f"data of {module} ({entry_type})", f"target=data, module={module} and entryType={entry_type}", columns)


def _factors(format: FactorFormat) -> FileKind:
    module = MODULES[format.module_id].key
    columns = columns_of(format, many_units=False)
    return FileKind(f"emission factors of {module}", f"target=factors and module={module}", columns)


FILE_KINDS: Sequence[FileKind] = (
    *map(_entries, ENTRY_FORMATS.values()),
    *map(_factors, FACTOR_FORMATS.values()),
    FileKind("exchange rates", "target=reference and module=purchase", reference_format(PURCHASE).columns),
)
