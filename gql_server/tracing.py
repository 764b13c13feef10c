"""Traces, in OpenTelemetry's terms. Nothing is recorded, and nothing costs, until somebody says where they go."""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from types import TracebackType
from typing import Any, Protocol
from uuid import UUID

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import INVALID_SPAN, NonRecordingSpan, Span, SpanContext, SpanKind, StatusCode, TraceFlags, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

NAME = "gql_server"
TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""Trace that the client of this request belongs to, whether anything is recorded or not."""
W3C = TraceContextTextMapPropagator()
HALF = 2**64 - 1
UNRECORDED = nullcontext(INVALID_SPAN)


class _Recording:
    """Tracer of this process, while there is one."""

    tracer: Tracer | None = None


class Provider(Protocol):
    """Source of the tracer, which sends what is recorded now and then, and the rest at the end."""

    def shutdown(self) -> None: ...


def configure(endpoint: str, *, sampled: float, resource: Mapping[str, str]) -> Provider:
    """Send what is recorded to an OTLP collector. Raises ImportError where the extra `otlp` is not installed."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio

    provider = TracerProvider(resource=Resource.create(dict(resource)), sampler=ParentBasedTraceIdRatio(sampled))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")))
    use(provider.get_tracer(NAME))
    return provider


def use(tracer: Tracer | None) -> None:
    """Record with that tracer from now on; with none, nothing."""
    _Recording.tracer = tracer


def is_on() -> bool:
    """True if something may be recorded."""
    return _Recording.tracer is not None


def span(
    name: str, *, parent: Context | None = None, kind: SpanKind = SpanKind.INTERNAL, **attributes: Any
) -> AbstractContextManager[Span]:
    """A span of its own, or of what goes on around it, while the context is open."""
    if _Recording.tracer is None:
        return UNRECORDED
    return _Entered(_Recording.tracer.start_span(name, parent, kind, _given(attributes)))


class _Entered(AbstractContextManager[Span]):
    """A span that is the current one while the context is open: as `use_span` does it, without the generators."""

    __slots__ = ("_span", "_token")

    def __init__(self, span: Span) -> None:
        self._span = span

    def __enter__(self) -> Span:
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        detach(self._token)
        if isinstance(error, Exception) and self._span.is_recording():
            self._span.record_exception(error)
            self._span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")
        self._span.end()


def child(name: str, **attributes: Any) -> AbstractContextManager[Span]:
    """A span within one that is being recorded; else none."""
    return span(name, **attributes) if is_on() and trace.get_current_span().is_recording() else UNRECORDED


def record(name: str, began: int, attributes: Mapping[str, str], *, failure: str | None = None) -> None:
    """Add a span that began at that time, in nanoseconds, and ends now; within one that is being recorded, else none."""
    if _Recording.tracer is None or not trace.get_current_span().is_recording():
        return
    span = _Recording.tracer.start_span(name, kind=SpanKind.CLIENT, attributes=attributes, start_time=began)
    if failure is not None:
        span.set_status(StatusCode.ERROR, failure)
    span.end()


def failed(reason: str) -> None:
    """Let the span say that what it is about has failed."""
    trace.get_current_span().set_status(StatusCode.ERROR, reason)


def traceparent() -> str | None:
    """The place in its trace of what goes on, as other processes are told; where nothing is recorded, that of the client."""
    carrier: dict[str, str] = {}
    if is_on():
        W3C.inject(carrier)
    return carrier.get("traceparent") or TRACEPARENT.get()


def trace_id() -> dict[str, str]:
    """The number of the trace that is recorded, as a field of the log; empty where none is."""
    context = trace.get_current_span().get_span_context()
    return {"trace_id": f"{context.trace_id:032x}"} if context.is_valid else {}


def continued(traceparent: str | None) -> Context:
    """The context of a process that was told of a place in a trace."""
    return W3C.extract({"traceparent": traceparent}, context=Context()) if traceparent else Context()


def is_recorded(traceparent: str | None) -> bool:
    """True if who was at that place in a trace recorded it."""
    return trace.get_current_span(continued(traceparent)).get_span_context().trace_flags.sampled


def of_pipeline(pipeline_id: UUID) -> Context:
    """The trace of a pipeline that nobody began for it: its number is that of the pipeline."""
    number = pipeline_id.int
    place = SpanContext(number, number & HALF, is_remote=True, trace_flags=TraceFlags(TraceFlags.SAMPLED))
    return trace.set_span_in_context(NonRecordingSpan(place), Context())


def _given(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """The attributes that have a value, with the dots that their names have in OpenTelemetry."""
    return {name.replace("__", "."): value for name, value in attributes.items() if value is not None}
