// The audits of graphql-http against $GQL_URL: one line of JSON for each.
import { auditServer } from 'graphql-http';

const { GQL_URL: url, GQL_TOKEN: token } = process.env;

const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { ...init.headers, authorization: `Bearer ${token}`, 'graphql-require-preflight': '1' } });

for (const { id, name, status, reason } of await auditServer({ url, fetchFn })) {
  console.log(JSON.stringify({ id, name, status, reason }));
}
