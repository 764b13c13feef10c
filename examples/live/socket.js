// graphql-transport-ws, as far as the page needs it: a socket for each operation. In a project, take the package graphql-ws.

export class Lost extends Error {}

// The data of each result until the operation is complete. Throws Lost when the connection ends before, also by the signal.
export async function* results({ url, token }, query, variables, signal) {
  const messages = [];
  let wake = () => {};
  const put = (message) => { messages.push(message); wake(); };
  const socket = new WebSocket(url, 'graphql-transport-ws');
  const send = (message) => socket.send(JSON.stringify(message));
  socket.onopen = () => send({ type: 'connection_init', payload: { authorization: `Bearer ${token}` } });
  socket.onmessage = ({ data }) => put(JSON.parse(data));
  socket.onclose = ({ code, reason }) => put({ type: 'closed', why: `${code} ${reason}`.trim() });
  signal?.addEventListener('abort', () => put({ type: 'closed', why: 'stopped' }));
  try {
    for (;;) {
      while (messages.length === 0) await new Promise((resolve) => { wake = resolve; });
      const { type, payload, why } = messages.shift();
      if (type === 'connection_ack') send({ id: '1', type: 'subscribe', payload: { query, variables } });
      else if (type === 'ping') send({ type: 'pong' });
      else if (type === 'error') throw new Error(payload[0].message);
      else if (type === 'next' && payload.errors) throw new Error(payload.errors[0].message);
      else if (type === 'next') yield payload.data;
      else if (type === 'complete') return;
      else if (type === 'closed') throw new Lost(why);
    }
  } finally {
    socket.close();
  }
}

export async function ask(server, query, variables) {
  for await (const data of results(server, query, variables)) return data;
}
