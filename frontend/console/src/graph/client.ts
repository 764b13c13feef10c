// urql: answers over HTTP into a normalised cache, which the messages of the live operations keep current.
import { Client, fetchExchange, subscriptionExchange, type SubscriptionOperation } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import { cacheExchange } from '@urql/exchange-graphcache';
import type { Client as Socket } from 'graphql-ws';

import { authorization, config, expiresSoon, renew } from '../session';
import { connect } from './connection';
import { embedded, schema } from './generated/cache.json';

interface Message { data?: Record<string, { token?: string } | null> | null; errors?: readonly unknown[] | null }

// After a loss graphql-ws sends what it was given once more: with the token of the last message in it, nothing is told twice.
function resumable(socket: Socket, { query, variables }: { query: string; variables: Record<string, unknown> }) {
  const payload = { query, variables: { ...variables } };
  return {
    subscribe: (sink: { next(result: any): void; error(error: any): void; complete(): void }) => ({
      unsubscribe: socket.subscribe(payload, {
        ...sink,
        next: (result) => {
          const [message] = Object.values((result as Message).data ?? {});
          if (message?.token && 'after' in payload.variables) payload.variables.after = message.token;
          sink.next(result);
        },
        error: (error) => sink.error(error),
        complete: () => sink.complete(),
      }),
    }),
  };
}

const authenticated = authExchange(async ({ appendHeaders }) => ({
  addAuthToOperation: (operation) => {
    const value = authorization();
    return value && operation.kind !== 'subscription' ? appendHeaders(operation, { authorization: value }) : operation;
  },
  willAuthError: (operation) => operation.kind !== 'subscription' && (authorization() === null || expiresSoon()),
  didAuthError: ({ graphQLErrors }) => graphQLErrors.some(({ extensions }) => extensions['code'] === 'UNAUTHENTICATED'),
  refreshAuth: renew,
}));

export function createGraph(): Client {
  const socket = connect();
  return new Client({
    url: config.url,
    preferGetMethod: false,
    exchanges: [
      cacheExchange({ schema: schema as never, keys: Object.fromEntries(embedded.map((name) => [name, () => null])) }),
      authenticated,
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (operation: SubscriptionOperation) =>
          resumable(socket, { query: operation.query ?? '', variables: (operation.variables ?? {}) as Record<string, unknown> }),
      }),
    ],
  });
}
