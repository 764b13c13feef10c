// graphql-sse's own client, in distinct connections mode.

import { createClient } from 'graphql-sse';

export function connect(url, authorization) {
  const client = createClient({
    url,
    headers: { authorization },
    retryAttempts: 1000,
    retry: () => new Promise((resolve) => setTimeout(resolve, 200)),
  });
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
