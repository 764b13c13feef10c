// The rows of the first page are asked for before the page is there: the server reads them while the browser builds it.
import { pageVariables, PipelinesDocument } from '@gql-server/client';
import { createRequest, stringifyVariables } from '@urql/core';
import { makeFetchBody } from '@urql/core/internal';
import { parseQuery } from 'vue-router';

import { filterOf, placeOf } from '../format/filters';
import { authorization, base, config, credentials, expiresSoon } from '../session';

/** For so long an answer is given to who asks: the page is built by then, or the reader has gone elsewhere. */
const KEPT_MS = 10_000;
const early = new Map<string, Promise<Response>>();

function ask(): void {
  const { pathname, search } = window.location;
  const isKnown = authorization() === null ? config.signIn !== null : !expiresSoon();
  if (!isKnown || ![`${base}/`, `${base}/pipelines`].includes(pathname)) return;
  const query = parseQuery(search);
  const request = createRequest(PipelinesDocument, pageVariables({ filter: filterOf(query), ...placeOf(query) }));
  const body = stringifyVariables(makeFetchBody(request));
  const headers = { accept: 'application/graphql-response+json, application/json', 'content-type': 'application/json', ...credentials() };
  const answer = fetch(config.url, { method: 'POST', body, headers });
  answer.catch(() => {}); // told to who asks
  early.set(body, answer);
  setTimeout(() => early.delete(body), KEPT_MS);
}
ask();

/** Fetches, unless it has been asked for already, by who was signed in then. */
export const fetchOnce: typeof fetch = async (address, options) => {
  const body = options?.body as string;
  const asked = early.get(body);
  early.delete(body);
  const answer = await asked;
  return !answer || answer.status === 401 ? fetch(address, options) : answer;
};
