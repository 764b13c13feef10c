import { number, written, type Texts } from '@gql-server/client/vue';
import clientEn from '@gql-server/client/locales/en.json';
import { Quasar } from 'quasar';
import quasarEn from 'quasar/lang/en-GB.js';
import { createI18n } from 'vue-i18n';
import { shallowRef, type Plugin } from 'vue';

import en from './locales/en.json';
import { translator } from './format/said';

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

const english = { ...clientEn, ...en };

/** French comes when it is spoken: `speak`. */
export const i18n = createI18n({ legacy: false, locale: 'en', fallbackLocale: 'en', messages: { en: english, fr: {} as typeof english } });

const { n: format, messages, locale } = i18n.global;
type Look = typeof i18n.global.t;
type Values = number | Record<string, unknown>;

// Texts have names in them and forms, and nothing else of vue-i18n's: to have it compile those that a page begins with takes longer than to say them.
export const t = ((key: string, values?: Values, count?: number) => {
  const text = (messages.value[locale.value] as Record<string, string>)[key] ?? (english as Record<string, string>)[key];
  return text === undefined ? key : written(text, n, values, count);
}) as Look;
export const n = ((value: number, ...how: unknown[]) => (how.length === 0 ? number(value, locale.value) : (format as (...of: unknown[]) => string)(value, ...how))) as typeof format;

/** `$t` and `$n` of all templates. */
export const quick: Plugin = (app) => Object.assign(app.config.globalProperties, { $t: t, $n: n });

const has = (key: string): boolean => key in messages.value[locale.value];

/** The same words for the components of the client. */
export const texts: Texts = { locale, te: has, n: (value) => n(value), t: t as Texts['t'] };

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

// Quasar's own words, and those of the page.
async function wordsOf(locale: Locale) {
  if (locale === 'en') return quasarEn;
  const french = await import('./french');
  i18n.global.setLocaleMessage('fr', french.words);
  void learn();
  return french.quasar;
}

let asked: Locale;

/** Rejects when the language cannot be had; then all stays as it was, as it does when another was asked for meanwhile. */
export async function speak(locale: Locale): Promise<void> {
  asked = locale;
  const quasar = await wordsOf(locale);
  if (locale !== asked) return;
  i18n.global.locale.value = locale;
  Quasar.lang.set(quasar);
  document.documentElement.lang = locale;
}

/** Keeps what the reader chose for the next visit, also when it cannot be had now. */
export const keep = (locale: Locale): void => localStorage.setItem(KEY, locale);
