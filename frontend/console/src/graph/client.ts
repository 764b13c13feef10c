// urql: answers over HTTP into a normalised cache, which the messages of the live operations keep current.
import { graphcache } from '@gql-server/client/cache';
import { forwardSubscription } from '@gql-server/client/urql';
import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import { cacheExchange } from '@urql/exchange-graphcache';

import { authorization, config, expiresSoon, renew } from '../session';
import { link } from './connection';

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
  return new Client({
    url: config.url,
    preferGetMethod: false,
    exchanges: [cacheExchange(graphcache), authenticated, fetchExchange, subscriptionExchange({ forwardSubscription: forwardSubscription(link) })],
  });
}
