// graphql-ws's own client: everything over one socket, with the token in connectionParams.

import { createClient } from 'graphql-ws';

export const socketClient = (url, authorization) => createClient({
  url: url.replace('http', 'ws'),
  connectionParams: { authorization },
  retryAttempts: 1000,
  retryWait: () => new Promise((resolve) => setTimeout(resolve, 200)),
  shouldRetry: () => true,
  on: { closed: ({ code }) => console.log(`closed ${code}`) },
});

export function connect(url, authorization) {
  const client = socketClient(url, authorization);
  const follow = (query, variables, each) => new Promise((complete, error) => {
    client.subscribe({ query, variables }, {
      next: ({ data, errors }) => (errors ? error(errors) : each(data)),
      error,
      complete,
    });
  });
  const ask = async (query, variables) => {
    let answer;
    await follow(query, variables, (data) => { answer = data; });
    return answer;
  };
  return { ask, follow };
}
