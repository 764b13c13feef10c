// What the reader sees of the list, and may do with it.

import { follow, hasMissedNothing, load } from './list.js';

const element = (id) => document.getElementById(id);
const say = (text) => { element('state').textContent = text; };
let server, list, following, stop;

function draw() {
  element('pipelines').replaceChildren(...list.newestFirst.map(({ pipelineId, kind, status, message, progress, createdAt }) => {
    const row = document.createElement('tr');
    row.dataset.status = status;
    const jobs = `${progress.finishedJobs}/${progress.expectedJobs ?? '?'}`;
    for (const text of [new Date(createdAt).toLocaleTimeString(), kind, status, jobs, message ?? '', pipelineId]) {
      row.insertCell().textContent = text;
    }
    return row;
  }));
}

function goLive() {
  stop = new AbortController();
  let connections = Number(element('connections').textContent);
  following = follow(server, list, stop.signal, {
    live: () => { element('connections').textContent = ++connections; say('live'); },
    changed: draw,
    lost: (why) => say(`connection lost (${why}): coming again`),
  }).catch((error) => say(error.message));
}

async function start(event) {
  event.preventDefault();
  stop?.abort();
  server = { url: element('url').value, token: element('token').value };
  try {
    list = await load(server);
  } catch (error) {
    say(error.message || 'the server does not answer');
    return;
  }
  draw();
  goLive();
  element('check').disabled = false;
}

async function check() {
  stop.abort();
  await following;
  try {
    const proven = await hasMissedNothing(server, list);
    element('proof').textContent = proven ? `nothing was missed: ${list.rows.size} pipelines` : 'SOMETHING WAS MISSED';
  } catch (error) {
    element('proof').textContent = `not known: ${error.message}`;
  }
  draw();
  goLive();
}

element('url').value = new URL('../graphql', location.href).href.replace('http', 'ws');
element('server').addEventListener('submit', start);
element('check').addEventListener('click', check);
