"""Numbers of events tell histories apart: they follow the clock where that is ahead, and the feed begins with one."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

# Two histories of one database, as after it was restored, number their events alike only within the same microsecond.
NUMBER = """
CREATE FUNCTION gql_event_number() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  number bigint := nextval('events_seq');
  clock bigint := extract(epoch FROM clock_timestamp()) * 1000000;
BEGIN
  IF clock > number THEN
    number := setval('events_seq', clock);
  END IF;
  RETURN number;
END $$
"""
FIRST = """INSERT INTO events (seq, pipeline_key)
SELECT gql_event_number(), '00000000-0000-0000-0000-000000000000' WHERE NOT EXISTS (SELECT FROM events)"""
FUNCTIONS = ("gql_job_event", "gql_pipeline_event")


def upgrade() -> None:
    op.execute(NUMBER)
    _replace("nextval('events_seq')", "gql_event_number()")
    op.execute(FIRST)


def downgrade() -> None:
    _replace("gql_event_number()", "nextval('events_seq')")
    op.execute("DROP FUNCTION gql_event_number()")


def _replace(number: str, other: str) -> None:
    for function in FUNCTIONS:
        one, another = (each.replace("'", "''") for each in (number, other))
        definition = f"replace(pg_get_functiondef('{function}'::regproc), '{one}', '{another}')"
        op.execute(f"DO $do$ BEGIN EXECUTE {definition}; END $do$")
