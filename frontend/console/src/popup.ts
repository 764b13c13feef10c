import type { Directive } from 'vue';

// Quasar's select takes no attributes for its popup, which stands outside every landmark of the page: what is in it names it.
export const vPopupName: Directive<HTMLElement, string> = (element, { value }) => {
  const menu = element.closest('.q-menu');
  menu?.setAttribute('role', 'region');
  (menu ?? element.closest('[role=dialog]'))?.setAttribute('aria-label', value);
};
