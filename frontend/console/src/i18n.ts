import type { Texts } from '@gql-server/client/vue';
import clientEn from '@gql-server/client/locales/en.json';
import clientFr from '@gql-server/client/locales/fr.json';
import { Quasar } from 'quasar';
import quasarEn from 'quasar/lang/en-GB.js';
import quasarFr from 'quasar/lang/fr.js';
import { createI18n } from 'vue-i18n';
import { shallowRef } from 'vue';

import en from './locales/en.json';
import { translator } from './format/said';
import fr from './locales/fr.json';

export const LOCALES = ['en', 'fr'] as const;
export type Locale = (typeof LOCALES)[number];
const KEY = 'gql-server:language';

const isLocale = (value: unknown): value is Locale => LOCALES.includes(value as Locale);

// What the address says, else what was chosen before, else what the browser speaks.
export function preferredLocale(): Locale {
  const asked = new URLSearchParams(window.location.search).get('lang');
  const known = [asked, localStorage.getItem(KEY), ...navigator.languages.map((language) => language.slice(0, 2))].find(isLocale);
  return known ?? 'en';
}

export const i18n = createI18n({ legacy: false, locale: preferredLocale(), fallbackLocale: 'en', messages: { en: { ...clientEn, ...en }, fr: { ...clientFr, ...fr } } });

/** The same words for the components of the client. */
const { t, te, n, locale } = i18n.global;
export const texts: Texts = { locale, te, n: (value) => n(value), t: (key, values = {}) => (typeof values === 'number' ? t(key, values) : t(key, values)) };

// What the server says in English, in the reader's language: diagnoses, remedies and refusals. What a job or a file says stays as it was written.
const translated = shallowRef<((text: string) => string) | undefined>();
export function said(text: string): string;
export function said(text: string | null | undefined): string | null;
export function said(text: string | null | undefined): string | null {
  if (text == null || i18n.global.locale.value === 'en') return text ?? null;
  return translated.value?.(text) ?? text;
}

async function learn(): Promise<void> {
  translated.value ??= translator((await import('./locales/server.fr.json')).default);
}

export function speak(locale: Locale): void {
  if (locale === 'fr') void learn();
  i18n.global.locale.value = locale;
  localStorage.setItem(KEY, locale);
  document.documentElement.lang = locale;
  Quasar.lang.set(locale === 'fr' ? quasarFr : quasarEn);
  document.documentElement.lang = locale;
}
