-- A later success on the scope of a run makes it good. Files of a unit add up: one of which nothing landed is made good by the
-- same bytes, or by a file of the same name, which is its correction. Runs of all else have no file here.
-- By CASE, for PostgreSQL takes that for likely, and so goes on in the order of the index of scopes; an OR of equalities it does not.
CREATE OR REPLACE FUNCTION gql_makes_good(status text, digest text, name text, later_digest text, later_name text)
RETURNS boolean LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN digest IS NULL OR status = 'PARTIAL' THEN true ELSE digest = later_digest OR name = later_name END
$$;
