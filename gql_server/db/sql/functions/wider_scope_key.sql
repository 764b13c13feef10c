-- The scope of which a success brings all that a run on this one was to bring: of an entry type, that of all of its module; of all
-- of process emissions, which have but one, that of this. None where there is no wider one.
CREATE OR REPLACE FUNCTION gql_wider_scope_key(
  provider user_provider_enum, kind text, level entity_type_enum, module int, entry_type int, year int, unit text
) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN kind IN ('csv_ingest', 'api_ingest', 'factor_ingest') THEN
    CASE
      WHEN entry_type IS NOT NULL THEN gql_scope_key(provider, kind, level, module, NULL, year, unit)
      WHEN module = 8 THEN gql_scope_key(provider, kind, level, module, 50, year, unit)
    END
  END
$$;
