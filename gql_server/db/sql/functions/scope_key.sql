-- A digest of what a pipeline or a job is about. None where the scope cannot be told: work of one unit that names no unit.
-- Declared immutable, although it calls what is only stable: the output of enums, whose labels never change.
CREATE OR REPLACE FUNCTION gql_scope_key(
  provider user_provider_enum, kind text, level entity_type_enum, module int, entry_type int, year int, unit text
) RETURNS uuid LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN kind IS NOT NULL AND level IS NOT NULL AND (level <> 'MODULE_UNIT_SPECIFIC' OR unit IS NOT NULL)
    THEN md5(jsonb_build_array(provider, kind, level, module, entry_type, year, unit)::text)::uuid END
$$;
