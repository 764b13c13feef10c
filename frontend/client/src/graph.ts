// What the rest of this package asks of a GraphQL client: urql (urql.ts), this file's own, or one of yours.
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import { print } from 'graphql';

import { Connection, type Credentials } from './live/connection.ts';
import { resumable } from './live/resume.ts';

/** Fields without null in their types are null where `error` says why: look at it first. */
export interface Answer<Data> { data?: Data | undefined; error?: Error | undefined }
export interface Sink<Data> { next(data: Data): void; error?(error: Error): void; complete?(): void }

export interface Graph {
  readonly connection: Connection;
  /** One answer, from the server. It never rejects; when the signal stops it, it does not settle. */
  query<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables, signal?: AbortSignal): Promise<Answer<Data>>;
  /** Messages until the returned function is called, through any loss of the connection. */
  subscribe<Data, Variables>(document: TypedDocumentNode<Data, Variables>, variables: Variables, sink: Sink<Data>): () => void;
}

export interface GraphOptions extends Credentials {
  /** Address of the graph: `/graphql`, say. */
  url: string;
  /** Address of the WebSocket, where it is another one. */
  subscriptionUrl?: string;
  /** Another `fetch`: one that sends cookies elsewhere, say. */
  fetch?: typeof fetch;
}

export class GraphError extends Error {
  readonly errors: readonly GraphErrorEntry[];

  constructor(errors: readonly GraphErrorEntry[]) {
    super(errors.map(({ message }) => message).join('\n'));
    this.name = 'GraphError';
    this.errors = errors;
  }

  has(code: string): boolean {
    return this.errors.some(({ extensions }) => extensions?.code === code);
  }
}
export interface GraphErrorEntry { message: string; path?: readonly (string | number)[]; extensions?: { code?: string } }
interface Response<Data> { data?: Data | null; errors?: readonly GraphErrorEntry[] }

/** A small client without a cache: queries by `fetch`, live operations by one WebSocket. */
export function createGraph(options: GraphOptions): Graph {
  const connection = new Connection({ ...options, url: options.subscriptionUrl ?? options.url });
  const send = options.fetch ?? fetch;

  async function ask<Data>(query: string, variables: unknown, signal?: AbortSignal): Promise<Answer<Data>> {
    const authorization = await options.authorization?.();
    const headers = { 'content-type': 'application/json', accept: 'application/graphql-response+json, application/json', ...(authorization ? { authorization } : { 'graphql-require-preflight': '1' }) };
    const response = await send(options.url, { method: 'POST', headers, body: JSON.stringify({ query, variables }), signal: signal ?? null });
    const { data, errors } = (await response.json()) as Response<Data>;
    return { data: data ?? undefined, error: errors?.length ? new GraphError(errors) : undefined };
  }

  return {
    connection,
    query: async (document, variables, signal) => {
      try {
        const first = await ask<never>(print(document), variables, signal);
        if (!options.renew || !(first.error instanceof GraphError && first.error.has('UNAUTHENTICATED'))) return first;
        await options.renew();
        return await ask(print(document), variables, signal);
      } catch (error) {
        if (signal?.aborted) return await new Promise(() => {});
        return { error: error as Error };
      }
    },
    subscribe: (document, variables, sink) =>
      resumable<never>(connection.socket, { query: print(document), variables: variables as Record<string, unknown> }).subscribe({
        next: ({ data, errors }) => {
          if (errors?.length) sink.error?.(new GraphError(errors as readonly GraphErrorEntry[]));
          if (data) sink.next(data);
        },
        error: (error) => sink.error?.(Array.isArray(error) ? new GraphError(error) : (error as Error)),
        complete: () => sink.complete?.(),
      }),
  };
}
