// The one socket of a page, and what a reader must know of it: whether the page is live, and if not since when.
import { createClient, type Client } from 'graphql-ws';

const PING_EVERY = 10_000;
const PONG_WITHIN = 5_000;
const RETRY_AT_MOST = 10_000;
const REFUSED = [4401, 4403, 4440]; // no token, not this one, no more

export interface LiveState {
  state: 'connecting' | 'live' | 'reconnecting' | 'offline';
  /** When it was lost, in milliseconds since 1970; null while it is not. */
  since: number | null;
}

export interface Credentials {
  /** `Bearer …`, asked for whenever something is sent; nothing where a cookie says who it is. */
  authorization?: () => string | null | undefined | Promise<string | null | undefined>;
  /** Called when the server does not take the token (any more): come back with another one, and what was asked goes on. */
  renew?: () => Promise<void>;
}

export interface ConnectionOptions extends Credentials { url: string }

export class Connection {
  readonly socket: Client;
  #now: LiveState = { state: 'connecting', since: null };
  readonly #listeners = new Set<(now: LiveState) => void>();

  constructor({ url, authorization, renew }: ConnectionOptions) {
    let socket: WebSocket | undefined;
    let silence: ReturnType<typeof setTimeout> | undefined;
    let isRefused = false;
    this.socket = createClient({
      url: async () => {
        if (isRefused) await renew?.(); // before the handshake, which takes a cookie along
        isRefused = false;
        return new URL(url, globalThis.location?.href).href.replace(/^http/, 'ws');
      },
      connectionParams: async () => {
        const value = await authorization?.();
        return value ? { authorization: value } : {};
      },
      lazy: true,
      keepAlive: PING_EVERY,
      retryAttempts: Infinity,
      shouldRetry: () => true,
      retryWait: async (retries) => {
        const wait = Math.min(RETRY_AT_MOST, 250 * 2 ** retries) * (0.5 + Math.random());
        await new Promise<void>((resolve) => {
          globalThis.window?.addEventListener('online', () => resolve(), { once: true });
          setTimeout(resolve, wait);
        });
      },
      on: {
        opened: (opened) => { socket = opened as WebSocket; },
        connected: () => this.#tell({ state: 'live', since: null }),
        ping: (received) => { if (!received) silence = setTimeout(() => socket?.close(4408, 'no answer'), PONG_WITHIN); },
        pong: () => clearTimeout(silence),
        closed: (event) => {
          clearTimeout(silence);
          const { code } = event as CloseEvent;
          isRefused = REFUSED.includes(code);
          if (code !== 1000) this.#lost();
        },
      },
    });
    globalThis.window?.addEventListener('offline', () => { this.#lost(); socket?.close(4408, 'offline'); });
  }

  get now(): LiveState {
    return this.#now;
  }

  /** Calls the listener whenever the state changes, until the returned function is called. */
  onChange(listener: (now: LiveState) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  #lost(): void {
    const isOnline = globalThis.navigator?.onLine ?? true;
    this.#tell({ state: isOnline ? 'reconnecting' : 'offline', since: this.#now.since ?? Date.now() });
  }

  #tell(now: LiveState): void {
    this.#now = now;
    this.#listeners.forEach((listener) => listener(now));
  }
}
