// urql: queries over HTTP, subscriptions over graphql-ws's client.

import { Client, fetchExchange, subscriptionExchange } from '@urql/core';
import { socketClient } from './graphql-ws.js';

export function connect(url, authorization) {
  const socket = socketClient(url, authorization);
  // urql hands over a copy of the variables: here is where the socket's client learns the last token.
  const forwardSubscription = ({ query, variables: { ...variables } }) => ({
    subscribe: (sink) => {
      const next = (result) => {
        if ('after' in variables) variables.after = Object.values(result.data)[0].token;
        sink.next(result);
      };
      return { unsubscribe: socket.subscribe({ query, variables }, { ...sink, next }) };
    },
  });
  const client = new Client({
    url,
    preferGetMethod: false,
    fetchOptions: { headers: { authorization } },
    exchanges: [subscriptionExchange({ forwardSubscription }), fetchExchange],
  });
  const ask = async (query, variables) => (await client.query(query, variables).toPromise()).data;
  const follow = (query, variables, each) => new Promise((complete, failed) => {
    const source = client.subscription(query, variables);
    source.subscribe(({ data, error, hasNext }) => {
      if (error) failed(error);
      else if (data) each(data);
      if (!hasNext) complete();
    });
  });
  return { ask, follow };
}
