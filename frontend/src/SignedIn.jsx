import { signInUrl, signOut } from './session.js';

export function SignedIn({ config, person }) {
  if (!person) return <a className="sign-in" href={signInUrl(config)}>Sign in</a>;
  return (
    <span className="sign-in">
      {person.name}
      <button type="button" onClick={() => signOut(config)}>Sign out</button>
    </span>
  );
}
