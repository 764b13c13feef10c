-- The number of a new event. It follows the clock in microseconds where that is ahead: two histories of one database, as after it
-- was restored, number their events alike only within the same microsecond.
CREATE OR REPLACE FUNCTION gql_event_number() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  number bigint := nextval('events_seq');
  clock bigint := extract(epoch FROM clock_timestamp()) * 1000000;
BEGIN
  IF clock > number THEN
    number := setval('events_seq', clock);
  END IF;
  RETURN number;
END $$;
