// What a normalised cache needs to know of the schema, for Apollo Client and for urql's graphcache.
import { embedded, keys, pages, possibleTypes, schema } from '../generated/cache.ts';

export { possibleTypes };

type Fields = Record<string, readonly string[]>;
type Entity = Record<string, unknown>;

const entries = <Value>(object: Record<string, Value>): [string, Value][] => Object.entries(object);
const keyed = entries<readonly string[]>(keys);

/** `typePolicies` of Apollo's `InMemoryCache`; give it `relayStylePagination` of `@apollo/client/utilities`. */
export function apolloTypePolicies<Policy>(relayStylePagination: (keyArgs: string[] | false) => Policy) {
  const policies: Record<string, { keyFields?: false | readonly string[]; fields?: Record<string, Policy> }> = {};
  for (const name of embedded) policies[name] = { keyFields: false };
  for (const [name, keyFields] of keyed) policies[name] = { keyFields };
  for (const [name, lists] of entries<Fields>(pages)) {
    const fields = entries(lists).map(([field, keyArgs]) => [field, relayStylePagination(keyArgs.length ? [...keyArgs] : false)]);
    policies[name] = { ...policies[name], fields: Object.fromEntries(fields) as Record<string, Policy> };
  }
  return policies;
}

/** `schema` and `keys` of urql's `cacheExchange`. What has no id is kept inside what it was read with. */
export const graphcache = {
  schema: schema as unknown as { __schema: never },
  keys: {
    ...Object.fromEntries(embedded.map((name) => [name, () => null])),
    ...Object.fromEntries(keyed.map(([name, fields]) => [name, (entity: Entity) => keyOf(entity, fields)])),
  } as Record<string, (entity: Entity) => string | null>,
};

/** `resolvers` of urql's `cacheExchange`, which join the pages of a list; give it `relayPagination` of graphcache's `extras`. */
export function graphcacheResolvers<Resolver>(relayPagination: () => Resolver): Record<string, Record<string, Resolver>> {
  const joined = (lists: Fields) => Object.fromEntries(Object.keys(lists).map((field) => [field, relayPagination()]));
  return Object.fromEntries(entries<Fields>(pages).map(([name, lists]) => [name, joined(lists)]));
}

// One of its kind has no field that tells it from others.
function keyOf(entity: Entity, fields: readonly string[]): string | null {
  if (fields.length === 0) return 'only';
  return fields.some((field) => entity[field] == null) ? null : fields.map((field) => String(entity[field])).join(':');
}
