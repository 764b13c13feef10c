"""Structured logs: events are `noun.verb` with fields, on standard error. Where JSON is chosen, every line is JSON."""

import logging
import sys
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType, TracebackType
from typing import Any

import orjson
import structlog
from rich.console import Console
from structlog.typing import EventDict, Processor

# Local variables hold secrets, and whole files: printing them stops the event loop for seconds.
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
NAMES: ContextVar[Mapping[str, str]] = ContextVar("names", default=MappingProxyType({}))
"""Fields that every line about a request has."""


def with_names(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Add the names of the request to a line that is about it."""
    return {**NAMES.get(), **event}


SHARED: list[Processor] = [
    with_names,
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]

NOTES: ContextVar[dict[str, object] | None] = ContextVar("notes", default=None)
"""Fields for the line that tells of a request when it has ended."""

err = Console(stderr=True, soft_wrap=True)
log = structlog.get_logger(__name__)


class _Chosen:
    """The form that was chosen by `configure`."""

    json = False


def configure(level: str, *, json: bool) -> None:
    """Set up structlog, and the standard library's loggers, warnings and uncaught exceptions behind it."""
    _Chosen.json = json
    number = logging.getLevelNamesMapping()[level]
    last: list[Processor] = [TRACEBACKS, _renderer(json=True)] if json else [_renderer(json=False)]
    structlog.configure(
        processors=[*SHARED, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=max(number, logging.WARNING), handlers=[handler], force=True)
    logging.captureWarnings(True)
    sys.excepthook = _hooked if json else sys.__excepthook__
    threading.excepthook = _thread_crashed if json else threading.__excepthook__


def note(fields: Mapping[str, object]) -> None:
    """Add fields to the line that tells of the request, if there is one."""
    if (notes := NOTES.get()) is not None:
        notes.update(fields)


def announce(sentence: str, event: str, *, style: str | None = None, **fields: object) -> None:
    """Tell a person at the terminal the sentence; a log that is read by machines, the event."""
    if _Chosen.json:
        log.info(event, **fields)
    else:
        err.print(sentence, style=style, markup=False, highlight=False)


def failed(message: str) -> None:
    """Say why a command ends."""
    if _Chosen.json:
        log.error("command.failed", reason=message)
    else:
        err.print(f"gql-server: {message}", style="red", markup=False, highlight=False)


def _renderer(*, json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer(serializer=_dumps)
    return structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _dumps(event: object, **_: Any) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def crashed(error: BaseException) -> None:
    """Tell of an exception that nobody expected, and that ends the process."""
    if _Chosen.json:
        log.critical("process.crashed", exc_info=error)
    else:
        sys.__excepthook__(type(error), error, error.__traceback__)


def _hooked(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    crashed(error)


def _thread_crashed(crash: threading.ExceptHookArgs) -> None:
    log.critical("thread.crashed", thread=crash.thread and crash.thread.name, exc_info=crash.exc_value)
