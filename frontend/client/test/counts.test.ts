import assert from 'node:assert/strict';
import { test } from 'node:test';

import { count, type Counts } from '../src/live/counts.ts';
import { scripted, soon } from './scripted.ts';

const alerts = (failed: number) => [{ key: 'ALERT', values: [{ value: 'FAILED', count: { value: failed, precision: 'EXACT' }, filter: {} }] }];
const counted = (value: number, failed: number) => ({ pipelines: { totalCount: { value, precision: 'EXACT' }, facets: alerts(failed) } });

function counting() {
  const server = scripted();
  const told: Counts[] = [];
  const stop = count(server.graph, { isActive: true }, (counts) => told.push(counts));
  const said = () => told.map(({ total, alerts: [alert], error }) => [total?.value, alert?.values[0]!.count.value, error?.message]);
  return { ...server, stop, said };
}

test('alerts are followed once all is counted, until it is stopped', async () => {
  const { asked, feeds, said, stop } = counting();
  assert.equal(feeds.length, 0);
  asked[0]!.answer(counted(7, 2));
  await soon();

  feeds[0]!.sink.next({ facets: alerts(3) } as never);

  assert.deepEqual(asked.map(({ variables }) => variables), [{ filter: { isActive: true } }]);
  assert.deepEqual(feeds[0]!.variables, { filter: { isActive: true } });
  assert.deepEqual(said(), [[7, 2, undefined], [7, 3, undefined]]);
  stop();
  assert.equal(feeds[0]!.isOpen, false);
});

test('what could be counted is told with the reason why the rest is missing', async () => {
  const { asked, said, stop } = counting();
  asked[0]!.answer({ pipelines: { totalCount: null, facets: alerts(2) } }, new Error('too long'));
  await soon();

  assert.deepEqual(said(), [[undefined, 2, 'too long']]);
  stop();
});

test('alerts go on though they could not be counted at first', async () => {
  const { asked, feeds, said, stop } = counting();
  asked[0]!.answer(undefined, new Error('no network'));
  await soon();

  feeds[0]!.sink.next({ facets: alerts(1) } as never);

  assert.deepEqual(said(), [[undefined, undefined, 'no network'], [undefined, 1, 'no network']]);
  stop();
});

test('what is counted after it was stopped is not told', async () => {
  const { asked, feeds, said, stop } = counting();
  stop();
  asked[0]!.answer(counted(7, 2));
  await soon();

  assert.deepEqual(said(), []);
  assert.equal(feeds.length, 0);
});
