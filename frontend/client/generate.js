// Documents and their types, from the operations in src/operations: built, not committed. Where the schema says that a field is
// null only beside an error (`@semanticNonNull`), its type has no null: errors are for the caller to see, see src/graph.ts.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { buildSchema, parse } from 'graphql';

const filename = 'src/generated/operations.ts';
const sdl = readFileSync('../../schema.graphql', 'utf8');
const operations = globSync('src/operations/*.graphql').sort();

const text = await codegen({
  filename,
  schema: parse(sdl),
  schemaAst: buildSchema(sdl),
  documents: operations.map((location) => ({ location, document: parse(readFileSync(location, 'utf8')) })),
  config: {
    enumType: 'string-literal',
    useTypeImports: true,
    skipTypename: false,
    nullability: { errorHandlingClient: true },
    scalars: { DateTime: 'string', UUID: 'string', FeedToken: 'string', JSON: 'unknown', SchemaCoordinate: 'string' },
  },
  plugins: [{ typescriptOperations: {} }, { typedDocumentNode: {} }],
  pluginMap: { typescriptOperations, typedDocumentNode },
});
mkdirSync('src/generated', { recursive: true });
writeFileSync(filename, text);
