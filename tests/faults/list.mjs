// The list of examples/live as its page keeps it, without the page: until its input ends, then says whether something was missed.

import { follow, hasMissedNothing, load } from '../../examples/live/list.js';

const server = { url: process.env.GQL_URL.replace('http', 'ws'), token: process.env.GQL_TOKEN };
const stop = new AbortController();
process.stdin.on('end', () => stop.abort()).resume();
const list = await load(server);
await follow(server, list, stop.signal, {
  live: () => console.log('live'),
  changed: () => {},
  lost: (why) => console.log(`connection lost (${why})`),
});
console.log(await hasMissedNothing(server, list) ? `nothing was missed: ${list.rows.size} pipelines` : 'SOMETHING WAS MISSED');
