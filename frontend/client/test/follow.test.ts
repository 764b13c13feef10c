import assert from 'node:assert/strict';
import { test } from 'node:test';

import { follow, type FollowOptions } from '../src/live/follow.ts';
import { scripted, soon } from './scripted.ts';

const row = (name: string, status = 'RUNNING') => ({ id: name, pipelineId: name, status, createdAt: `2025-01-01T00:00:${name}Z`, updatedAt: `2025-01-01T00:00:${name}Z` });
const page = (names: string[], hasNextPage: boolean) => ({ pipelines: { nodes: names.map((name) => row(name)), pageInfo: { hasNextPage, endCursor: names.at(-1) }, feedToken: names[0] } });

function followed(options: Partial<FollowOptions> = {}) {
  const server = scripted();
  const seen: string[] = [];
  const following = follow(server.graph, { changed: ({ rows }) => seen.push(rows.map(({ id, status }) => `${id}:${status}`).join(' ')), ...options });
  return { ...server, following, seen };
}

test('the feed is followed from where the page was read', async () => {
  const { asked, feeds, following } = followed({ filter: { isActive: true } });
  asked[0]!.answer(page(['30', '20'], false));
  await soon();

  assert.deepEqual(feeds[0]!.variables, { filter: { isActive: true }, after: '30' });
  following.stop();
  assert.equal(feeds[0]!.isOpen, false);
});

test('many messages are one change', async () => {
  const { asked, tell, seen, following } = followed();
  asked[0]!.answer(page(['30', '20'], false));
  await soon();

  for (const status of ['A', 'B', 'C']) tell({ __typename: 'PipelineChanged', pipeline: row('20', status) });
  await soon();

  assert.deepEqual(seen, ['30:RUNNING 20:RUNNING', '30:RUNNING 20:C']);
  following.stop();
});

test('what happens to an older page while it is on its way is not lost', async () => {
  const { asked, tell, seen, following } = followed();
  asked[0]!.answer(page(['30', '20'], true));
  await soon();

  const more = following.more();
  tell({ __typename: 'PipelineChanged', pipeline: row('10', 'SUCCESS') });
  await soon();
  asked[1]!.answer(page(['10'], false));
  await more;

  assert.equal(asked[1]!.variables['after'], '20');
  assert.deepEqual(seen.at(-1), '30:RUNNING 20:RUNNING 10:SUCCESS');
  following.stop();
});

test('after a reset the list is read anew', async () => {
  const { asked, tell, seen, feeds, following } = followed();
  asked[0]!.answer(page(['30'], false));
  await soon();

  tell({ __typename: 'FeedReset' });
  await soon();
  asked[1]!.answer(page(['40', '30'], false));
  await soon();

  assert.deepEqual(seen, ['30:RUNNING', '40:RUNNING 30:RUNNING']);
  assert.deepEqual(feeds.map(({ isOpen }) => isOpen), [false, true]);
  following.stop();
});

test('what belongs beside the list is asked for whenever it is read, after its rows', async () => {
  const asked: number[] = [];
  const server = scripted();
  const following = follow(server.graph, { reading: () => asked.push(server.asked.length), changed: () => {} });
  server.asked[0]!.answer(page(['30'], false));
  await soon();

  server.tell({ __typename: 'FeedReset' });
  await soon();

  assert.deepEqual(asked, [1, 2]);
  following.stop();
});

test('what was asked before it was stopped is not shown', async () => {
  const { asked, seen, following } = followed();
  following.refresh();
  asked[0]!.answer(page(['10'], false));
  asked[1]!.answer(page(['20'], false));
  await soon();

  assert.deepEqual(seen, ['20:RUNNING']);
  following.stop();
});
