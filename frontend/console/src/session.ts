// Who looks at the page: one of the demo's viewers, or whoever pasted a token. Tokens of others never leave the tab.
import { reactive } from 'vue';

type Headers = Record<string, string>;
interface Persona { label: string; headers: Headers }
export interface PageConfig { url: string; subscriptionUrl: string; viewers: Persona[]; title: string }

const PERSONA = 'gql-server:viewer';
const TOKEN = 'gql-server:token';
const SOON_SECONDS = 30;

export const config = configOf(document);
export const base = document.getElementById('config')?.dataset['base'] ?? ''; // the path under which the server is shown
export const session = reactive({ persona: chosenPersona(), token: sessionStorage.getItem(TOKEN), isAsking: false });
let personas = config.viewers;
let waiting: (() => void)[] = [];

export function authorization(): string | null {
  const { headers } = personas.find(({ label }) => label === session.persona) ?? { headers: {} as Headers };
  const [, value] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
  return value ?? (session.token && `Bearer ${session.token}`);
}

// Another token in place, without losing the page: the demo hands one out, everyone else is asked.
export async function renew(): Promise<void> {
  if (session.persona !== null) {
    const page = await fetch(window.location.pathname, { headers: { accept: 'text/html' } });
    personas = configOf(new DOMParser().parseFromString(await page.text(), 'text/html')).viewers;
    return;
  }
  session.isAsking = true;
  await new Promise<void>((resolve) => waiting.push(resolve));
}

export function signIn(token: string): void {
  session.token = token.trim().replace(/^bearer\s+/i, '');
  sessionStorage.setItem(TOKEN, session.token);
  session.isAsking = false;
  waiting.forEach((resume) => resume());
  waiting = [];
}

// Whatever the last viewer was shown goes with the page.
export function signOut(): void {
  sessionStorage.removeItem(TOKEN);
  window.location.reload();
}

export function actAs(label: string): void {
  sessionStorage.setItem(PERSONA, label);
  window.location.reload();
}

export function expiresSoon(): boolean {
  const [, payload] = (authorization() ?? '').split('.');
  try {
    const { exp } = JSON.parse(atob((payload ?? '').replaceAll('-', '+').replaceAll('_', '/'))) as { exp?: number };
    return exp !== undefined && exp * 1000 < Date.now() + SOON_SECONDS * 1000;
  } catch {
    return false; // not a token whose words we can read: the server knows
  }
}

function configOf(page: Document): PageConfig {
  const defaults: PageConfig = { url: '/graphql', subscriptionUrl: '/graphql', viewers: [], title: 'gql-server' };
  return { ...defaults, ...(JSON.parse(page.getElementById('config')?.textContent || '{}') as Partial<PageConfig>) };
}

// By label only, as GraphiQL does: the same choice serves both pages.
function chosenPersona(): string | null {
  const label = sessionStorage.getItem(PERSONA);
  return (config.viewers.find((viewer) => viewer.label === label) ?? config.viewers[0])?.label ?? null;
}
