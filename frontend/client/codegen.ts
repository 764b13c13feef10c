import type { CodegenConfig } from '@graphql-codegen/cli';

// Documents and their types, from the operations in src/operations: built, not committed. Where the schema says that a field is
// null only beside an error (`@semanticNonNull`), its type has no null: errors are for the caller to see, see src/graph.ts.
const config: CodegenConfig = {
  schema: '../../schema.graphql',
  documents: 'src/operations/*.graphql',
  silent: true,
  generates: {
    'src/generated/operations.ts': {
      plugins: ['typescript-operations', 'typed-document-node'],
      config: {
        enumType: 'string-literal',
        useTypeImports: true,
        skipTypename: false,
        nullability: { errorHandlingClient: true },
        scalars: { DateTime: 'string', UUID: 'string', FeedToken: 'string', JSON: 'unknown', SchemaCoordinate: 'string' },
      },
    },
  },
};

export default config;
