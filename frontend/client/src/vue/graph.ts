// The client that the composables of a page share.
import { computed, inject, onScopeDispose, reactive, readonly, type InjectionKey, type Plugin } from 'vue';

import { createGraph, type Graph, type GraphOptions } from '../graph.ts';
import type { Connection, LiveState } from '../live/connection.ts';
import { createTexts, TEXTS, type Texts } from './texts.ts';

const GRAPH: InjectionKey<Graph> = Symbol('gql-server');

/** `app.use(gqlServer, { url: '/graphql', … })`; `graph` instead of an address where there is a client already. */
export const gqlServer: Plugin<[(GraphOptions | { graph: Graph }) & { texts?: Texts; locale?: string }]> = {
  install(app, options) {
    app.provide(GRAPH, 'graph' in options ? options.graph : createGraph(options));
    app.provide(TEXTS, options.texts ?? createTexts(() => options.locale ?? globalThis.navigator?.language ?? 'en'));
  },
};

export function useGraph(): Graph {
  const graph = inject(GRAPH);
  if (!graph) throw new Error('There is no graph: app.use(gqlServer, { url }) comes first.');
  return graph;
}

/** Whether the page is live, and if not since when. */
export function useConnection(): Readonly<LiveState> {
  const { connection } = useGraph();
  const now = reactiveState(connection);
  onScopeDispose(now.stop);
  return now.state;
}

/** The same outside a component, for as long as the page. */
export function reactiveState(connection: Connection): { state: Readonly<LiveState>; stop(): void } {
  const state = reactive<LiveState>({ ...connection.now });
  return { state: readonly(state), stop: connection.onChange((now) => Object.assign(state, now)) };
}

/** Calls the function when the page is live again, if it is `needed`. */
export function whenLiveAgain(connection: Connection, needed: () => boolean, call: () => void): void {
  onScopeDispose(connection.onChange(({ state }) => { if (state === 'live' && needed()) call(); }));
}

/** Equal values are the same object, so that only what differs is asked for anew. */
export const stable = <Value>(read: () => Value) => computed<Value>((before) => {
  const now = read();
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now) ? before : now;
});
