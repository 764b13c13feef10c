// urql: answers over HTTP into a normalised cache, which the messages of the live operations keep current.
import { graphcache } from '@gql-server/client/cache';
import { forwardSubscription } from '@gql-server/client/urql';
import { Client, fetchExchange, subscriptionExchange, type Exchange } from '@urql/core';
import { authExchange } from '@urql/exchange-auth';
import { cacheExchange } from '@urql/exchange-graphcache';

import { authorization, config, credentials, expiresSoon, isAnonymous, renew, session } from '../session';
import { link } from './connection';
import { fetchOnce } from './early';

let anonymous: Promise<boolean> | undefined;
const known = (): Promise<boolean> => (anonymous ??= isAnonymous());

const authenticated = authExchange(async ({ appendHeaders }) => {
  await known(); // so that a first page is not asked for in vain
  return {
    addAuthToOperation: (operation) => (operation.kind === 'subscription' ? operation : appendHeaders(operation, credentials())),
    willAuthError: (operation) => operation.kind !== 'subscription' && ((authorization() ?? session.subject) === null || expiresSoon()),
    didAuthError: ({ graphQLErrors }) => graphQLErrors.some(({ extensions }) => extensions['code'] === 'UNAUTHENTICATED'),
    refreshAuth: renew,
  };
});

const clientOf = (...exchanges: Exchange[]): Client => new Client({ url: config.url, fetch: fetchOnce, preferGetMethod: false, exchanges });

export const client = clientOf(cacheExchange(graphcache), authenticated, fetchExchange, subscriptionExchange({ forwardSubscription: forwardSubscription(link) }));

/** Reads past the cache: lists, which keep what they read. */
export const reading = clientOf(authenticated, fetchExchange);
