// A list of pipelines that is kept live, through restarts of the server, and the proof that nothing was missed.

import { Lost, ask, results } from './socket.js';

const SHOWN = `fragment Shown on Pipeline {
  id pipelineId kind status message createdAt progress { finishedJobs expectedJobs }
}`;
const PAGE = `query Page($first: Int!) {
  pipelines(first: $first, filter: { isOrphan: false }) { nodes { ...Shown } pageInfo { hasNextPage } feedToken }
} ${SHOWN}`;
const EVENT = `__typename token
  ... on PipelineEntered { pipeline { ...Shown } }
  ... on PipelineChanged { pipeline { ...Shown } }
  ... on PipelineLeft { pipelineNodeId }
  ... on FeedSnapshot { pipelines { nodes { ...Shown } pageInfo { hasNextPage } } }`;
const FOLLOW = `subscription Follow($after: FeedToken!, $first: Int!) {
  pipelines(after: $after, first: $first, filter: { isOrphan: false }, snapshot: false) { ${EVENT} }
} ${SHOWN}`;
const MISSED = `query Missed($after: FeedToken!) {
  changes(after: $after, filter: { isOrphan: false }) { events { ${EVENT} } nextToken hasMore }
} ${SHOWN}`;
const FIRST = 25;
const KEPT = 100;

export class LiveList {
  constructor(page) {
    this.show(page);
    this.token = page.feedToken;
  }

  // Forget everything; begin with this page. What is older than its last pipeline is on other pages.
  show({ nodes, pageInfo }) {
    this.rows = new Map(nodes.map((row) => [row.id, row]));
    this.oldest = pageInfo.hasNextPage ? nodes.at(-1).pipelineId : '';
  }

  apply(event) {
    switch (event.__typename) {
      case 'PipelineEntered':
      case 'PipelineChanged': this.#keep(event.pipeline); break;
      case 'PipelineLeft': this.rows.delete(event.pipelineNodeId); break;
      case 'FeedSnapshot': this.show(event.pipelines); break;
      case 'FeedReset': return; // a snapshot follows; should it not arrive, the old token asks for it again
    }
    this.token = event.token;
  }

  get newestFirst() {
    return [...this.rows.values()].sort((one, other) => (one.pipelineId < other.pipelineId ? 1 : -1));
  }

  // Whether the page, which may reach further back, shows the same pipelines in the same state.
  isLike({ nodes }) {
    return JSON.stringify(nodes.filter((row) => row.pipelineId >= this.oldest)) === JSON.stringify(this.newestFirst);
  }

  #keep(row) {
    if (row.pipelineId >= this.oldest) this.rows.set(row.id, row);
    if (this.rows.size > KEPT) {
      const [last, gone] = this.newestFirst.slice(-2);
      this.rows.delete(gone.id);
      this.oldest = last.pipelineId;
    }
  }
}

export async function load(server) {
  return new LiveList((await ask(server, PAGE, { first: FIRST })).pipelines);
}

// Apply what happens until the signal, through any loss of the connection.
export async function follow(server, list, signal, { live, changed, lost }) {
  while (!signal.aborted) {
    try {
      live();
      for await (const { pipelines } of results(server, FOLLOW, { after: list.token, first: FIRST }, signal)) {
        list.apply(pipelines);
        changed();
      }
    } catch (error) {
      if (!(error instanceof Lost)) throw error;
      if (signal.aborted) return;
      lost(error.message);
    }
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

// Compare the list, which nobody follows meanwhile, with a new reading of it, before and after which nothing happened.
export async function hasMissedNothing(server, list) {
  for (;;) {
    await catchUp(server, list);
    const { pipelines } = await ask(server, PAGE, { first: list.rows.size + 1 });
    if (await catchUp(server, list) === 0) return list.isLike(pipelines);
  }
}

// Apply what has happened since; returns how much that was.
async function catchUp(server, list) {
  const { changes } = await ask(server, MISSED, { after: list.token });
  changes.events.forEach((event) => list.apply(event));
  list.token = changes.nextToken;
  return changes.events.length;
}
