const OWN_PAGE = { 'graphql-require-preflight': '1' };

// Who has signed in at the company's provider, if the server has a sign-in.
export async function whoIsSignedIn({ signIn }) {
  if (!signIn) return null;
  try {
    const answer = await fetch(`${signIn}/session`, { headers: OWN_PAGE });
    return (await answer.json()).viewer ?? null;
  } catch {
    return null;
  }
}

export function signInUrl({ signIn }) {
  const { pathname, search } = window.location;
  return `${signIn}?next=${encodeURIComponent(pathname + search)}`;
}

export async function signOut({ signOut: url }) {
  const answer = await fetch(url, { method: 'POST', headers: OWN_PAGE });
  const { location, error } = await answer.json();
  if (location) window.location.assign(location);
  else window.alert(error?.message ?? answer.statusText);
}
