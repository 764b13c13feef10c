// Documents and their types, from the operations in src/operations: built, not committed. Where the schema says that a field is
// null only beside an error (`@semanticNonNull`), its type has no null: errors are for the caller to see, see src/graph.ts.
// Documents are written as text, see src/document.ts.
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';

import { codegen } from '@graphql-codegen/core';
import * as typedDocumentNode from '@graphql-codegen/typed-document-node';
import * as typescriptOperations from '@graphql-codegen/typescript-operations';
import { buildSchema, parse, print, stripIgnoredCharacters } from 'graphql';

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

const asText = (_, name, tree, type) => `export const ${name}: ${type} = /* @__PURE__ */ document(${JSON.stringify(stripIgnoredCharacters(print(JSON.parse(tree))))});`;
const withTexts = text.replaceAll(/^export const (\w+) = (\{"kind":"Document".*\}) as unknown as (DocumentNode<.*>);$/gm, asText);
mkdirSync('src/generated', { recursive: true });
writeFileSync(filename, `import { document } from '../document.ts';\n${withTexts}`);
