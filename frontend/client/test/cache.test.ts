import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { apolloTypePolicies, graphcache, graphcacheResolvers, possibleTypes } from '../src/cache/index.ts';
import { keys as decided, pages } from '../src/generated/cache.ts';

test('a cache knows who implements what', () => {
  assert.deepEqual([...possibleTypes.FeedEvent].sort(), ['FeedHeartbeat', 'FeedReset', 'FeedSnapshot', 'JobProgressed', 'PipelineChanged', 'PipelineEntered', 'PipelineLeft']);
  assert.ok((possibleTypes.Node as readonly string[]).includes('Pipeline'));
});

test('Apollo joins the pages of a list by its filter and order, and keeps what has no id where it was read', () => {
  const policies = apolloTypePolicies((keyArgs) => ({ keyArgs }));

  assert.deepEqual(policies['Query']!.fields!['pipelines'], { keyArgs: ['filter', 'orderBy', 'around'] });
  assert.deepEqual(policies['Worker'], { fields: { claimedJobs: { keyArgs: false } } });
  assert.deepEqual(policies['WorkScope'], { keyFields: false });
  assert.deepEqual(policies['Viewer'], { keyFields: ['id'] });
  assert.deepEqual(policies['SystemHealth'], { keyFields: [], fields: { stuckJobs: { keyArgs: false } } });
});

test('graphcache keeps one of its kind once, others by their key, and what has no id where it was read', () => {
  assert.equal(graphcache.keys['SystemHealth']!({}), 'only');
  assert.equal(graphcache.keys['BulkProgress']!({ bulkId: 'b' }), 'b');
  assert.equal(graphcache.keys['BulkProgress']!({}), null);
  assert.equal(graphcache.keys['WorkScope']!({ id: 'any' }), null);
  assert.equal(graphcache.keys['Pipeline'], undefined);
  assert.deepEqual(Object.keys(graphcacheResolvers(() => 'joined')), Object.keys(pages));
});

test('the keys are those of keys.json', () => {
  assert.deepEqual(decided, JSON.parse(readFileSync('keys.json', 'utf8')).keys);
});
