-- Equal for pipelines that read the same bytes for the same year.
CREATE OR REPLACE FUNCTION gql_file_key(provider user_provider_enum, year int, digest text)
RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN digest IS NOT NULL THEN md5(jsonb_build_array(provider, year, digest)::text)::uuid END
$$;
