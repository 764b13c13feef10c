import assert from 'node:assert/strict';
import { test } from 'node:test';

import { createGraph, GraphError } from '../src/graph.ts';
import { ShellDocument, type PipelineCountsQuery, type PipelinesQuery } from '../src/generated/operations.ts';

const REFUSED = { errors: [{ message: 'No valid token', extensions: { code: 'UNAUTHENTICATED' } }] };
const VIEWER = { data: { viewer: { id: 'me', displayName: null, permissions: [] } } };

// `@semanticNonNull`: the list is there, or an error says why not. This does not compile where codegen lost it.
export const nodes = ({ pipelines }: PipelinesQuery & PipelineCountsQuery): number => pipelines.nodes.length + pipelines.facets.length;

function answering(...answers: object[]) {
  const sent: { authorization: string | null; body: { query: string } }[] = [];
  const fetch = (async (_url: string, { headers, body }: { headers: Record<string, string>; body: string }) => {
    sent.push({ authorization: headers['authorization'] ?? null, body: JSON.parse(body) });
    return { json: async () => answers.shift() };
  }) as unknown as typeof globalThis.fetch;
  return { sent, fetch };
}

test('a token that is not taken any more is renewed, and what was asked is asked again', async () => {
  const { sent, fetch } = answering(REFUSED, VIEWER);
  let token = 'old';
  const graph = createGraph({ url: 'http://server/graphql', fetch, authorization: () => `Bearer ${token}`, renew: async () => { token = 'new'; } });

  const { data, error } = await graph.query(ShellDocument, {});

  assert.deepEqual(data, VIEWER.data);
  assert.equal(error, undefined);
  assert.deepEqual(sent.map(({ authorization }) => authorization), ['Bearer old', 'Bearer new']);
});

test('a token that is refused once more is an error, which is told and not thrown', async () => {
  const { sent, fetch } = answering(REFUSED, REFUSED);
  const graph = createGraph({ url: 'http://server/graphql', fetch, renew: async () => {} });

  const { data, error } = await graph.query(ShellDocument, {});

  assert.equal(data, undefined);
  assert.ok(error instanceof GraphError && error.has('UNAUTHENTICATED'));
  assert.equal(error.message, 'No valid token');
  assert.equal(sent.length, 2);
});

test('a server that does not answer is an error, too, and who gave up waiting is told nothing', async () => {
  const failing = (async () => { throw new TypeError('no network'); }) as unknown as typeof fetch;
  const graph = createGraph({ url: 'http://server/graphql', fetch: failing });
  const stopped = AbortSignal.abort();

  assert.equal((await graph.query(ShellDocument, {})).error?.message, 'no network');
  assert.equal(await Promise.race([graph.query(ShellDocument, {}, stopped), new Promise((resolve) => setTimeout(() => resolve('nothing'), 50))]), 'nothing');
});
