// Who looks at the page: one of the demo's viewers, whoever signed in at the company's provider, or whoever pasted a token, which
// never leaves the tab.
import { reactive } from 'vue';

type Headers = Record<string, string>;
interface Persona { label: string; headers: Headers }
export interface PageConfig { url: string; subscriptionUrl: string; viewers: Persona[]; title: string; signIn: string | null; signOut: string | null }

const PERSONA = 'gql-server:viewer';
const TOKEN = 'gql-server:token';
const SOON_SECONDS = 30;
const LOOK_EVERY = 2_000;
const OWN_PAGE = { 'graphql-require-preflight': '1' }; // without it the server does not look at the cookie

export const config = configOf(document);
export const base = document.getElementById('config')?.dataset['base'] ?? ''; // the path under which the server is shown
export const session = reactive({ persona: chosenPersona(), token: sessionStorage.getItem(TOKEN), subject: null as string | null, isAsking: false });
let personas = config.viewers;
let waiting: (() => void)[] = [];

export function authorization(): string | null {
  const { headers } = personas.find(({ label }) => label === session.persona) ?? { headers: {} as Headers };
  const [, value] = Object.entries(headers).find(([name]) => name.toLowerCase() === 'authorization') ?? [];
  return value ?? (session.token && `Bearer ${session.token}`);
}

// What goes with each request: a token, or the cookie of a sign-in, which the browser adds.
export function credentials(): Headers {
  const value = authorization();
  return value ? { authorization: value } : OWN_PAGE;
}

// Asks the server who is signed in, if it has a sign-in. A page that was somebody else's begins anew.
export async function isSignedIn(): Promise<boolean> {
  if (!config.signIn) return false;
  try {
    const answer = await fetch(`${config.signIn}/session`, { headers: OWN_PAGE });
    const { viewer } = (await answer.json()) as { viewer?: { subject: string } | null };
    if (!viewer) return false;
    if (session.subject !== null && session.subject !== viewer.subject) window.location.reload();
    session.subject = viewer.subject;
    return true;
  } catch {
    return false; // looked at again soon
  }
}

export async function isAnonymous(): Promise<boolean> {
  return authorization() === null && !(await isSignedIn());
}

// Others than the graph's client wait here until they may ask.
export async function ready(): Promise<void> {
  if (expiresSoon() || (await isAnonymous())) await renew();
}

// Where a sign-in begins: in place of a page that shows nothing yet, else in a window of its own, and the page goes on.
export function signInUrl(): string {
  const { pathname, search } = window.location;
  return `${config.signIn}?next=${encodeURIComponent(session.subject === null ? pathname + search : `${config.signIn}/done`)}`;
}

// Another token in place, without losing the page: the demo hands one out, the provider's session is renewed by the server, everyone
// else is asked. Who needs it at once shares one.
let renewal: Promise<void> | undefined;
export function renew(): Promise<void> {
  renewal ??= renewed().finally(() => { renewal = undefined; });
  return renewal;
}

async function renewed(): Promise<void> {
  if (session.persona !== null) {
    const page = await fetch(window.location.pathname, { headers: { accept: 'text/html' } });
    personas = configOf(new DOMParser().parseFromString(await page.text(), 'text/html')).viewers;
    return;
  }
  if (session.token === null && (await isSignedIn())) return;
  session.isAsking = true;
  const looking = config.signIn ? window.setInterval(() => void look(), LOOK_EVERY) : undefined;
  await new Promise<void>((resolve) => waiting.push(resolve));
  window.clearInterval(looking);
}

// A sign-in in another window lets this page go on, unless it was that of a token, whoever that was.
async function look(): Promise<void> {
  if (!(await isSignedIn())) return;
  if (session.token !== null) return signOut();
  goOn();
}

function goOn(): void {
  session.isAsking = false;
  waiting.forEach((resume) => resume());
  waiting = [];
}

export function signIn(token: string): void {
  session.token = token.trim().replace(/^bearer\s+/i, '');
  sessionStorage.setItem(TOKEN, session.token);
  goOn();
}

// Whatever the last viewer was shown goes with the page. Somebody who signed in is signed out of the provider too, if it wants that.
export async function signOut(): Promise<void> {
  sessionStorage.removeItem(TOKEN);
  if (session.token !== null || !config.signOut) return window.location.reload();
  const answer = await fetch(config.signOut, { method: 'POST', headers: OWN_PAGE });
  const said = (await answer.json()) as { location?: string; error?: { message: string } };
  if (!said.location) throw new Error(said.error?.message ?? answer.statusText);
  window.location.assign(said.location);
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
  const defaults: PageConfig = { url: '/graphql', subscriptionUrl: '/graphql', viewers: [], title: 'gql-server', signIn: null, signOut: null };
  return { ...defaults, ...(JSON.parse(page.getElementById('config')?.textContent || '{}') as Partial<PageConfig>) };
}

// By label only, as GraphiQL does: the same choice serves both pages.
function chosenPersona(): string | null {
  const label = sessionStorage.getItem(PERSONA);
  return (config.viewers.find((viewer) => viewer.label === label) ?? config.viewers[0])?.label ?? null;
}
