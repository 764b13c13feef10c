// What the normalised cache must know of the schema: who implements what, and which types have no id of their own.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { buildSchema, isInterfaceType, isObjectType, isUnionType } from 'graphql';

const schema = buildSchema(readFileSync('../../schema.graphql', 'utf8'));
const types = Object.values(schema.getTypeMap()).filter(({ name }) => !name.startsWith('__'));
const roots = [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()];
const names = (list) => list.map(({ name }) => ({ name }));

// Fields are left out: with them the cache would take what is missing of an answer for null.
const described = (type) => {
  if (isObjectType(type)) return [{ kind: 'OBJECT', name: type.name, interfaces: names(type.getInterfaces()), fields: [] }];
  if (isInterfaceType(type)) return [{ kind: 'INTERFACE', name: type.name, interfaces: [], fields: [], possibleTypes: [] }];
  return isUnionType(type) ? [{ kind: 'UNION', name: type.name, possibleTypes: names(type.getTypes()) }] : [];
};
const [queryType, mutationType, subscriptionType] = names(roots);
const embedded = types.filter((type) => isObjectType(type) && !roots.includes(type) && !type.getFields().id).map(({ name }) => name);

mkdirSync('src/graph/generated', { recursive: true });
writeFileSync(
  'src/graph/generated/cache.json',
  JSON.stringify({ schema: { __schema: { queryType, mutationType, subscriptionType, types: types.flatMap(described) } }, embedded }),
);
