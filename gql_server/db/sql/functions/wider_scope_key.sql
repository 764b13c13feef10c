-- The scope of which a success brings all that a run on this one was to bring: of an entry type, that of all of its module; of all
-- of process emissions, which have but one, that of this. None where there is no wider one. As `gql_scope_key` has it, and not by
-- calling that: a dump is restored without a search path.
CREATE OR REPLACE FUNCTION gql_wider_scope_key(
  provider user_provider_enum, kind text, level entity_type_enum, module int, entry_type int, year int, unit text
) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN kind IN ('csv_ingest', 'api_ingest', 'factor_ingest') AND (entry_type IS NOT NULL OR module = 8)
      AND level IS NOT NULL AND (level <> 'MODULE_UNIT_SPECIFIC' OR unit IS NOT NULL)
    THEN md5(jsonb_build_array(
      provider, kind, level, module, CASE WHEN entry_type IS NULL THEN 50 END, year, unit
    )::text)::uuid END
$$;
