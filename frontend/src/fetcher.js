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

// With it the server looks at the cookie of who has signed in: only a page of its own can send it.
const OWN_PAGE = { 'graphql-require-preflight': '1' };

function isRefused(result) {
  return result?.errors?.some(({ extensions }) => extensions?.code === 'UNAUTHENTICATED') ?? false;
}

// Queries, introspection and subscriptions (as connectionParams) all carry the page's, the viewer's and the editor's headers.
export function createFetcher({ url, subscriptionUrl, headers }, viewer, onRefused) {
  const fetcher = createGraphiQLFetcher({ url, subscriptionUrl: socketUrl(subscriptionUrl ?? url), enableIncrementalDelivery: false });
  return (params, options) => {
    const result = fetcher(params, { ...options, headers: merge(OWN_PAGE, headers, viewer?.headers, options?.headers) });
    Promise.resolve(result).then((first) => isRefused(first) && onRefused(), () => {});
    return result;
  };
}
