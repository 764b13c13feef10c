import { Dark } from 'quasar';

const KEY = 'gql-server:theme';

export function restoreTheme(): void {
  const kept = localStorage.getItem(KEY);
  Dark.set(kept === null ? 'auto' : kept === 'dark');
}

export function toggleTheme(): void {
  Dark.toggle();
  localStorage.setItem(KEY, Dark.isActive ? 'dark' : 'light');
}
