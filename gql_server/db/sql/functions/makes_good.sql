-- A later success on the scope of a run makes it good. Files of a unit add up: one of which nothing landed is made good by the
-- same bytes, or by a file of the same name, which is its correction. Runs of all else have no file here.
CREATE OR REPLACE FUNCTION gql_makes_good(status text, digest text, name text, later_digest text, later_name text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT digest IS NULL OR status = 'PARTIAL' OR digest = later_digest OR name = later_name
$$;
