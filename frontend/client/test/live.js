// A live list of the built package, told line by line: `node live.js alone` with its own client, or `urql`. Run by tests/js/test_clients.py.
import { createInterface } from 'node:readline';

import { Client, fetchExchange, subscriptionExchange } from '@urql/core';

import { Connection, createGraph, follow } from '../dist/index.js';
import { forwardSubscription, urqlGraph } from '../dist/urql.js';

const url = process.env.GQL_URL;
const tell = (...words) => console.log(words.join(' '));
let token = process.env.GQL_FIRST_TOKEN ?? process.env.GQL_TOKEN;
const credentials = {
  authorization: () => `Bearer ${token}`,
  renew: async () => {
    token = process.env.GQL_TOKEN;
    tell('renewed');
  },
};

function withUrql() {
  const connection = new Connection({ url, ...credentials });
  const exchanges = [fetchExchange, subscriptionExchange({ forwardSubscription: forwardSubscription(connection) })];
  return urqlGraph(new Client({ url, preferGetMethod: false, exchanges, fetchOptions: () => ({ headers: { authorization: credentials.authorization() } }) }), connection);
}

const graph = process.argv[2] === 'urql' ? withUrql() : createGraph({ url, ...credentials });
graph.connection.onChange(({ state }) => tell('connection', state));
follow(graph, {
  changed: ({ rows }) => tell('list', ...rows.map(({ pipelineId, status }) => `${pipelineId}:${status}`)),
  each: ({ __typename, pipeline }) => tell('told', __typename, pipeline?.pipelineId ?? ''),
  failed: ({ message }) => tell('failed', message),
});

for await (const _ of createInterface({ input: process.stdin }));
process.exit(0);
