// The schema as Relay's specification wants it, and the operations of the page as that schema allows them.
import graphql from '@graphql-eslint/eslint-plugin'

const named = (rules, options = []) => Object.fromEntries(rules.map((rule) => [`@graphql-eslint/${rule}`, ['error', ...options]]))
const linted = (files, rules) => ({
  files,
  languageOptions: {
    parser: graphql.parser,
    parserOptions: { graphQLConfig: { schema: 'schema.graphql', documents: 'operations/*.graphql' } },
  },
  plugins: { '@graphql-eslint': graphql },
  rules,
})

export default [
  linted(['schema.graphql'], {
    ...named(['relay-connection-types', 'relay-page-info', 'require-deprecation-reason', 'no-hashtag-description']),
    ...named(['relay-arguments'], [{ includeBoth: false }]),
    ...named(['relay-edge-types'], [{ listTypeCanWrapOnlyEdgeType: false, shouldImplementNode: false }]),
  }),
  linted(['operations/*.graphql'], named([
    'fields-on-correct-type',
    'known-argument-names',
    'known-directives',
    'known-type-names',
    'no-anonymous-operations',
    'no-deprecated',
    'no-duplicate-fields',
    'no-undefined-variables',
    'no-unused-fragments',
    'no-unused-variables',
    'overlapping-fields-can-be-merged',
    'provided-required-arguments',
    'unique-operation-name',
    'value-literals-of-correct-type',
    'variables-in-allowed-position',
  ])),
]
