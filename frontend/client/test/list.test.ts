import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LiveList, type FeedMessage, type Manner, type Row } from '../src/live/list.ts';

let position = 0;
const row = (name: string, second: number, status = 'RUNNING', updated = second): Row =>
  ({ id: name, pipelineId: name, status, createdAt: at(second), updatedAt: at(updated) }) as unknown as Row;
const at = (second: number): string => new Date(Date.UTC(2025, 0, 1, 0, 0, second)).toISOString();
const told = (__typename: string, rest: object): FeedMessage => ({ __typename, token: `t${++position}`, ...rest }) as unknown as FeedMessage;
const entered = (pipeline: Row): FeedMessage => told('PipelineEntered', { pipeline });
const changed = (pipeline: Row): FeedMessage => told('PipelineChanged', { pipeline });
const left = (pipelineNodeId: string): FeedMessage => told('PipelineLeft', { pipelineNodeId });
const list = (manner: Manner, hasNextPage = false): LiveList =>
  new LiveList({ nodes: [row('c', 30), row('b', 20)], pageInfo: { hasNextPage }, feedToken: 't0' }, manner);
const shown = ({ rows }: LiveList): string => rows.map(({ id, status }) => `${id}:${status}`).join(' ');

test('what enters is put in its place, newest first', () => {
  const live = list('follow');

  live.apply([entered(row('a', 10)), entered(row('d', 40)), entered(row('bc', 25))]);

  assert.equal(shown(live), 'd:RUNNING c:RUNNING bc:RUNNING b:RUNNING a:RUNNING');
});

test('what changes changes in its row, and what leaves is taken out', () => {
  const live = list('follow');

  live.apply([changed(row('b', 20, 'SUCCESS', 50)), left('c')]);

  assert.equal(shown(live), 'b:SUCCESS');
});

test('what enters twice is there once, as it was told last', () => {
  const live = list('follow');

  live.apply([entered(row('d', 40)), entered(row('d', 40, 'SUCCESS'))]);
  live.apply([entered(row('d', 40, 'FAILED', 41))]);

  assert.equal(shown(live), 'd:FAILED c:RUNNING b:RUNNING');
});

test('what is older than the last row of a page belongs to a page that is not loaded', () => {
  const live = list('follow', true);

  live.apply([entered(row('a', 10)), changed(row('a', 10, 'SUCCESS'))]);

  assert.equal(shown(live), 'c:RUNNING b:RUNNING');
});

test('an older page is put below, and a row that is known better stays', () => {
  const live = list('follow', true);

  live.append({ nodes: [row('b', 20, 'PENDING', 1), row('a', 10)], pageInfo: { hasNextPage: false } });
  live.apply([changed(row('a', 10, 'OLDER', 1)), changed(row('b', 20, 'SUCCESS', 21))]);

  assert.equal(shown(live), 'c:RUNNING b:SUCCESS a:RUNNING');
});

test('what is offered leaves the rows where they are until it is accepted', () => {
  const live = list('offer');

  live.apply([entered(row('d', 40)), changed(row('d', 40, 'SUCCESS')), left('b')]);
  assert.equal(shown(live), 'c:RUNNING b:RUNNING');
  assert.deepEqual([...live.entered.values()].map(({ status }) => status), ['SUCCESS']);
  assert.deepEqual([...live.left], ['b']);

  live.accept();
  assert.equal(shown(live), 'd:SUCCESS c:RUNNING');
  assert.equal(live.entered.size + live.left.size, 0);
});

test('an offer that leaves is withdrawn, and what has left may enter again', () => {
  const live = list('offer');

  live.apply([entered(row('d', 40)), left('d'), left('b'), entered(row('b', 20, 'SUCCESS'))]);

  assert.equal(live.entered.size + live.left.size, 0);
  assert.equal(shown(live), 'c:RUNNING b:SUCCESS');
});

test('a reset says that the list is to be read anew, and keeps the token that asks for it again', () => {
  const live = list('follow');
  live.apply([changed(row('b', 20, 'SUCCESS'))]);
  const { token } = live;

  assert.equal(live.apply([told('FeedReset', {})]), false);
  assert.equal(live.token, token);
});

test('rows are another array only when one of them is another', () => {
  const live = list('follow');
  const before = live.rows;

  live.apply([told('FeedHeartbeat', {}), left('nowhere'), changed(row('nowhere', 5))]);

  assert.equal(live.rows, before);
});
