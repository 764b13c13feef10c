"""Fields and the rows they are read from fit together."""

from strawberry.schema.schema_converter import GraphQLCoreConverter

from gql_server.reads.failures.row import FailureGroupRow
from gql_server.reads.fleet.workers import WorkerRow
from gql_server.reads.jobs.row import JobRow
from gql_server.reads.pipelines.row import PipelineRow
from gql_server.reads.views import ViewRow
from gql_server.reads.years.queries import YearRow
from tests.graphql import object_type

ROWS = (FailureGroupRow, JobRow, PipelineRow, ViewRow, WorkerRow, YearRow)


def test_every_field_without_a_resolver_shows_the_attribute_of_its_name():
    missing = [
        f"{row.node_type}.{name}"
        for row in ROWS
        for name, field in object_type(row.node_type).fields.items()
        if (declared := field.extensions[GraphQLCoreConverter.DEFINITION_BACKREF]).base_resolver is None
        and declared.python_name not in row.attributes
    ]

    assert missing == []


def test_every_attribute_that_is_not_private_belongs_to_one_row_class():
    for row in ROWS:
        assert list(row.attributes) == [attribute.name for attribute in row.attributes.values()]
