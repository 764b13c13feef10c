import type { CodegenConfig } from '@graphql-codegen/cli';

// Documents and their types, from the operations in src/graph/operations: built, not committed.
const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: 'src/graph/operations/*.graphql',
  silent: true,
  generates: {
    'src/graph/generated/operations.ts': {
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        skipTypename: false,
        scalars: { DateTime: 'string', UUID: 'string', FeedToken: 'string', JSON: 'unknown', SchemaCoordinate: 'string' },
      },
    },
  },
};

export default config;
