// What each client must do, told line by line: ask, keep a list, and follow a pipeline named on standard input to its end.
// Run as `node follow.js graphql-ws`, with GQL_URL and GQL_TOKEN.

import { createInterface } from 'node:readline';

const { connect } = await import(`./${process.argv[2]}.js`);
const client = connect(process.env.GQL_URL, `Bearer ${process.env.GQL_TOKEN}`);
const tell = (...words) => console.log(words.join(' '));

const page = await client.ask('query Page($first: Int) { pipelines(first: $first) { nodes { pipelineId } feedToken } }', { first: 5 });
tell('page', page.pipelines.nodes.length);

const LIST = `subscription List($after: FeedToken!) { pipelines(after: $after, snapshot: false) { __typename token
  ... on PipelineEntered { pipeline { pipelineId status } } ... on PipelineChanged { pipeline { pipelineId status } } } }`;
const PIPELINE = `subscription One($id: UUID!) { pipeline(by: { pipelineId: $id }) { __typename token
  ... on PipelineChanged { pipeline { pipelineId status } } } }`;

// The clients send these variables again when they come again: the last token, and nothing is repeated.
const from = { after: page.pipelines.feedToken };
client.follow(LIST, from, ({ pipelines: event }) => {
  from.after = event.token;
  tell('list', event.__typename, event.pipeline?.pipelineId, event.pipeline?.status);
});

for await (const id of createInterface({ input: process.stdin })) {
  let last;
  await client.follow(PIPELINE, { id }, ({ pipeline: event }) => { last = event.pipeline.status; });
  tell('ended', id, last);
}
process.exit(0);
