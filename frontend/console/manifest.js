// The documents that the built console sends, word for word, by their SHA-256: what a server executes that executes no others.
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';

import { formatDocument, stringifyDocument } from '@urql/core';

import * as operations from '../client/src/generated/operations.ts';

const documents = Object.entries(operations).filter(([name]) => name.endsWith('Document')).map(([, document]) => document);
// As the normalised cache sends them, with `__typename`; and what is read past it as it is written.
const isQuery = ({ definitions }) => definitions.some(({ operation }) => operation === 'query');
const texts = [...documents.map(formatDocument), ...documents.filter(isQuery)].map((document) => stringifyDocument(document));
const digest = (text) => createHash('sha256').update(text).digest('hex');

writeFileSync('../../gql_server/static/console/documents.json', `${JSON.stringify(Object.fromEntries(texts.map((text) => [digest(text), text])), null, 1)}\n`);
