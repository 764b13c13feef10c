// urql as the client behind live lists: its authentication and cache serve them, too.
import type { AnyVariables, Client, CombinedError, DocumentInput, SubscriptionForwarder } from '@urql/core';

import { GraphError, type Answer, type Graph, type GraphErrorEntry } from './graph.ts';
import type { Connection } from './live/connection.ts';
import { resumable } from './live/resume.ts';

/** `forwardSubscription` of urql's `subscriptionExchange`: live operations that resume where they were. */
export function forwardSubscription(connection: Connection): SubscriptionForwarder {
  return ({ query, variables }) => {
    const operation = resumable(connection.socket, { query: query ?? '', variables: (variables ?? {}) as Record<string, unknown> });
    return { subscribe: (sink) => ({ unsubscribe: operation.subscribe({ ...sink, next: (result) => sink.next(result as Parameters<typeof sink.next>[0]) }) }) };
  };
}

/** `reading` is the client that queries go through, where that is another one: lists keep what they read themselves, and need no cache. */
export function urqlGraph(client: Client, connection: Connection, reading: Client = client): Graph {
  return {
    connection,
    query: <Data, Variables>(document: DocumentInput<Data, Variables>, variables: Variables, signal?: AbortSignal) =>
      new Promise<Answer<Data>>((resolve) => {
        const asked = reading.query(document as DocumentInput<Data>, variables as AnyVariables, { requestPolicy: 'network-only' });
        const { unsubscribe } = asked.subscribe(({ data, error, stale }) => {
          if (stale) return;
          resolve({ data, error: error && said(error) });
          queueMicrotask(() => unsubscribe());
        });
        signal?.addEventListener('abort', unsubscribe);
      }),
    subscribe: (document, variables, sink) =>
      client.subscription(document as DocumentInput, variables as AnyVariables).subscribe(({ data, error }) => {
        if (error) sink.error?.(said(error));
        if (data) sink.next(data as Parameters<typeof sink.next>[0]);
      }).unsubscribe,
  };
}

/** What the server said, or why it could not be asked, without urql's words around it. */
function said({ graphQLErrors, networkError }: CombinedError): Error {
  return networkError ?? new GraphError(graphQLErrors as readonly GraphErrorEntry[]);
}
