"""Texts of a ledger: file names, reasons, messages and errors, with everything that text can hold."""

from collections.abc import Callable
from random import Random

FILES = (
    "équipements_{year}.csv",
    "Relevé d'électricité {year} (final).csv",
    "achats_{year}_v2.csv",
    "Dépenses 100%_validées {year}.csv",
    "personnel & étudiants {year}.csv",
    "voyages_«professionnels»_{year}.csv",
    "export_SAP_{year}\\lab_{n}.csv",
    'fichier "corrigé" n°{n}.csv',
    "données ♻️ {year}.csv",
    "process_emissions_{year}_{n}.csv",
)

REASONS = (
    "unknown unit {n}",
    "the amount is not a number: 'douze'",
    "la quantité « {n},5 » n'est pas un nombre",
    "no factor matches {n}% ethanol_denatured",
    "unknown kind 'Réfrigérant R-{n}a'",
    "active and standby hours add up to more than 168 a week",
    "the file gives this row twice: member_{n}",
    "the currency 'Fr.' is unknown 🤷",
    'the name holds a line break: "Labo\nde chimie"',
)

REFUSALS = (
    "the file is not UTF-8 text: save it as “CSV UTF-8”",
    "the file has no data rows",
    "the file is empty",
    "the column unit_institutional_id appears twice",
    "missing columns unit_institutional_id, amount",
    "a quote opened in the row at line {n} is never closed",
    "the file is a PDF document, not a table: save the table as “CSV UTF-8” or as an Excel workbook (.xlsx)",
)

COMPLAINTS = (
    "no factor for « autre »",
    "there are no exchange rates for 2026: upload them as reference data of purchase",
)
"""Messages of recalculations on entries that they cannot compute."""

_DEADLOCK = """<class 'asyncpg.exceptions.DeadlockDetectedError'>: deadlock detected
DETAIL:  Process {a} waits for ShareLock on transaction {n}; blocked by process {b}.
Process {b} waits for ShareLock on transaction {m}; blocked by process {a}.
HINT:  See server log for query details."""
_FOREIGN_KEY = """<class 'asyncpg.exceptions.ForeignKeyViolationError'>: insert or update on table \
"data_entry_emissions" violates foreign key constraint "fk_data_entry_emissions_data_entry_id"
DETAIL:  Key (data_entry_id)=({n}) is not present in table "data_entries"."""
_UNIQUE = """<class 'asyncpg.exceptions.UniqueViolationError'>: duplicate key value violates unique constraint \
"uq_emission_recalc_active"
DETAIL:  Key (provider, module_type_id, data_entry_type_id, year)=(ACCRED, {a}, {b}, 2025) already exists."""
_TIMEOUT = "<class 'asyncpg.exceptions.QueryCanceledError'>: canceling statement due to statement timeout"
POISONED = """<class 'asyncpg.exceptions.InFailedSQLTransactionError'>: current transaction is aborted, commands ignored until \
end of transaction block
[SQL: SELECT carbon_report_modules.id, carbon_report_modules.module_type_id FROM carbon_report_modules WHERE \
carbon_report_modules.carbon_report_id = $1::INTEGER]
[parameters: ({n},)]"""
_PYTHON = "KeyError: 'unité_{n}'"
FRAME = """
  File "handlers/step_{n}.py", line {m}, in traiter_données
    résultat = await session.execute(requête, {{"année": {n}, "motif": '%_{m}%'}})"""

DATABASE_ERRORS = (_DEADLOCK, _DEADLOCK, _DEADLOCK, _FOREIGN_KEY, _UNIQUE, _TIMEOUT, POISONED, _PYTHON)
LONG_SHARE = 0.35

PEOPLE = (
    "Zoé Müller",
    "Aïcha N'Diaye",
    "Jean-Luc d'Ormesson",
    "Françoise Bühlmann",
    "Mário Gonçalves",
    "Noémie Lefèvre",
    "Łukasz Nowak",
    "Chloé Dubois",
    "Søren Kjær",
    "Élodie Rochat",
    "Björn Åkesson",
    "Inès Peña",
    "Thaddäus Weiß",
    "Océane Favre",
    "Renée Sørli",
    "Ümit Yılmaz",
)


def filled(random: Random, template: str, **values: object) -> str:
    """The template with numbers of its own."""
    number = random.randrange
    return template.format(
        **{"n": number(10_000, 99_999), "m": number(10_000, 99_999), "a": number(300), "b": number(300)} | values
    )


def file_name(random: Random, year: int) -> str:
    return filled(random, random.choice(FILES), year=year)


def reason(random: Random) -> str:
    return filled(random, random.choice(REASONS))


def refusal(random: Random) -> str:
    return filled(random, random.choice(REFUSALS))


def unexpected(random: Random, templates: tuple[str, ...] = DATABASE_ERRORS) -> str:
    """The text of an exception; a third of them come with a traceback of 2 to 8 KB."""
    message = filled(random, random.choice(templates))
    return with_traceback(random, message) if random.random() < LONG_SHARE else message


def with_traceback(random: Random, message: str) -> str:
    frames = (filled(random, FRAME) for _ in range(random.randint(13, 50)))
    return f"{message}\nTraceback (most recent call last):{''.join(frames)}"


Text = Callable[[Random], str]
