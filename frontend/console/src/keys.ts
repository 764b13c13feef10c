// Single keys that do something, unless the reader is writing or a dialog is open.
import { onBeforeUnmount, onMounted } from 'vue';

export function useKeys(keys: Record<string, () => void>): void {
  const press = (event: KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    if (event.ctrlKey || event.metaKey || event.altKey || target.closest('input, textarea, select, [contenteditable], .q-dialog, .q-menu')) return;
    const action = keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  };
  onMounted(() => window.addEventListener('keydown', press));
  onBeforeUnmount(() => window.removeEventListener('keydown', press));
}
