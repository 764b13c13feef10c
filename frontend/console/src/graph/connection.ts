// The one socket of the page, and what a reader must know of it: whether the page is live, and if not since when.
import { createClient, type Client } from 'graphql-ws';
import { reactive } from 'vue';

import { authorization, config, expiresSoon, renew } from '../session';

const PING_EVERY = 10_000;
const PONG_WITHIN = 5_000;
const RETRY_AT_MOST = 10_000;

export const connection = reactive({ state: 'connecting' as 'connecting' | 'live' | 'reconnecting' | 'offline', since: null as number | null });

function lost(): void {
  connection.since ??= Date.now();
  connection.state = navigator.onLine ? 'reconnecting' : 'offline';
}

export function connect(): Client {
  let socket: WebSocket | undefined;
  let silence: number | undefined;
  const client = createClient({
    url: () => new URL(config.subscriptionUrl, window.location.href).href.replace(/^http/, 'ws'),
    connectionParams: async () => {
      if (expiresSoon()) await renew();
      return { authorization: authorization() };
    },
    lazy: true,
    keepAlive: PING_EVERY,
    retryAttempts: Infinity,
    shouldRetry: () => true,
    retryWait: async (retries) => {
      const wait = Math.min(RETRY_AT_MOST, 250 * 2 ** retries) * (0.5 + Math.random());
      await new Promise<void>((resolve) => {
        window.addEventListener('online', () => resolve(), { once: true });
        setTimeout(resolve, wait);
      });
    },
    on: {
      opened: (opened) => { socket = opened as WebSocket; },
      connected: () => Object.assign(connection, { state: 'live', since: null }),
      ping: (received) => { if (!received) silence = window.setTimeout(() => socket?.close(4408, 'no answer'), PONG_WITHIN); },
      pong: () => window.clearTimeout(silence),
      closed: (event) => {
        window.clearTimeout(silence);
        if ((event as CloseEvent).code !== 1000) lost();
      },
    },
  });
  window.addEventListener('offline', () => { lost(); socket?.close(4408, 'offline'); });
  return client;
}
