-- All runs of three letters of a text, in lower case. In one pass over the letters: substr() would count them from the start each time.
CREATE OR REPLACE FUNCTION gql_trigrams(value text) RETURNS text[] LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
  letters text[] := string_to_array(lower(value), NULL);
  trigrams text[] := '{}';
BEGIN
  FOR place IN 3..cardinality(letters) LOOP
    trigrams := trigrams || (letters[place - 2] || letters[place - 1] || letters[place]);
  END LOOP;
  RETURN trigrams;
END $$;
