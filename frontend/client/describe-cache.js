// Writes what a normalised cache must know of the schema: who implements what, the keys of keys.json, and which lists have pages.
import { readFileSync, writeFileSync } from 'node:fs';

import { buildSchema, getNamedType, isInterfaceType, isObjectType, isUnionType } from 'graphql';

const PAGING = ['first', 'after', 'last', 'before'];
const { keys, embedded, embeddedSuffixes } = JSON.parse(readFileSync('keys.json', 'utf8'));
const schema = buildSchema(readFileSync('../../schema.graphql', 'utf8'));
const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
const names = (list) => list.map(({ name }) => ({ name }));
const objects = types.filter((type) => isObjectType(type) && !roots.includes(type));

// Fields are left out: with them the cache would take what is missing of an answer for null.
const described = (type) => {
  if (isObjectType(type)) return [{ kind: 'OBJECT', name: type.name, interfaces: names(type.getInterfaces()), fields: [] }];
  if (isInterfaceType(type)) return [{ kind: 'INTERFACE', name: type.name, interfaces: [], fields: [], possibleTypes: [] }];
  return isUnionType(type) ? [{ kind: 'UNION', name: type.name, possibleTypes: names(type.getTypes()) }] : [];
};
const isEmbedded = ({ name }) => embedded.includes(name) || embeddedSuffixes.some((suffix) => name.endsWith(suffix));
const undecided = objects.filter((type) => !isEmbedded(type) && !(type.name in keys) && !type.getInterfaces().some(({ name }) => name === 'Node'));
if (undecided.length) throw new Error(`keys.json does not say how a cache keeps ${undecided.map(({ name }) => name).join(', ')}`);

const possible = types.flatMap((type) => (isInterfaceType(type) || isUnionType(type) ? [[type.name, schema.getPossibleTypes(type).map(({ name }) => name)]] : []));
const pages = types.flatMap((type) => (isObjectType(type) && type !== schema.getSubscriptionType() ? [type] : [])).flatMap((type) => {
  const lists = Object.values(type.getFields()).filter((field) => getNamedType(field.type).name.endsWith('Connection'));
  const keyArguments = (field) => field.args.map(({ name }) => name).filter((name) => !PAGING.includes(name));
  const paged = lists.filter((field) => field.args.some(({ name }) => name === 'after'));
  return paged.length ? [[type.name, Object.fromEntries(paged.map((field) => [field.name, keyArguments(field)]))]] : [];
});
const [queryType, mutationType, subscriptionType] = names(roots);
const written = {
  schema: { __schema: { queryType, mutationType, subscriptionType, types: types.flatMap(described) } },
  possibleTypes: Object.fromEntries(possible),
  keys,
  embedded: objects.filter(isEmbedded).map(({ name }) => name),
  pages: Object.fromEntries(pages),
};
const constants = Object.entries(written).map(([name, value]) => `export const ${name} = ${JSON.stringify(value)} as const;\n`);
writeFileSync('src/generated/cache.ts', `// From schema.graphql and keys.json.\n${constants.join('')}`);
