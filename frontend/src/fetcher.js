import { createGraphiQLFetcher } from '@graphiql/toolkit';

// Header names in lower case, so that what the reader types replaces the page's header instead of joining it.
function merge(...all) {
  return Object.fromEntries(all.flatMap((headers) => Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value])));
}

function socketUrl(path) {
  const url = new URL(path, window.location.href);
  url.protocol = url.protocol.replace('http', 'ws');
  return url.href;
}

// Queries, introspection and subscriptions (as connectionParams) all carry the page's, the viewer's and the editor's headers.
export function createFetcher({ url, subscriptionUrl, headers }, viewer) {
  const fetcher = createGraphiQLFetcher({ url, subscriptionUrl: socketUrl(subscriptionUrl ?? url), enableIncrementalDelivery: false });
  return (params, options) => fetcher(params, { ...options, headers: merge(headers, viewer?.headers, options?.headers) });
}
