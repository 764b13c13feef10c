import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { parse, print } from 'graphql';

import { document } from '../src/document.ts';
import * as operations from '../src/generated/operations.ts';

const bulk = parse(readFileSync('src/operations/bulk.graphql', 'utf8'));

test('a document is the tree of its text, the same whenever it is looked into', () => {
  const one = document('query Shell { viewer { id } }');

  assert.equal(print(one), 'query Shell {\n  viewer {\n    id\n  }\n}');
  assert.equal(one.definitions, one.definitions);
  assert.equal({ ...one }.definitions, one.definitions);
});

test('a document that nobody looks into is not parsed', () => {
  const broken = document('query {');

  assert.equal(broken.kind, 'Document');
  assert.throws(() => broken.definitions);
});

test('operations are kept as text, and are those of their files', () => {
  const [, progress] = bulk.definitions;

  assert.equal(print(operations.AbortProgressDocument), print(progress!));
  assert.ok(!readFileSync('src/generated/operations.ts', 'utf8').includes('"kind":"Document"'));
});
