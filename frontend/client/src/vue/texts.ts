// Words of the components: English and French from here, or those of the page around them.
import { computed, inject, toValue, type InjectionKey, type MaybeRefOrGetter, type Ref } from 'vue';

import { number } from '../format/number.ts';
import en from '../locales/en.json' with { type: 'json' };
import fr from '../locales/fr.json' with { type: 'json' };

type Values = Record<string, unknown>;

/** As vue-i18n has them: `{name}` is a value, and ` | ` stands between the forms for none, one and many. */
export interface Texts {
  locale: Ref<string>;
  t(key: string, values?: number | Values): string;
  te(key: string): boolean;
  n(value: number): string;
}

export const TEXTS: InjectionKey<Texts> = Symbol('gql-server texts');
export const LOCALES: Readonly<Record<string, Record<string, string>>> = { en, fr };

export function createTexts(language: MaybeRefOrGetter<string>): Texts {
  const locale = computed(() => toValue(language));
  const messages = computed(() => LOCALES[locale.value.slice(0, 2)] ?? LOCALES['en']!);
  const n = (value: number): string => number(value, locale.value);
  return {
    locale,
    n,
    te: (key) => key in messages.value,
    t: (key, values) => written(messages.value[key] ?? key, n, values),
  };
}

/** A text with its values in it: a number says which of its forms is meant, and is `{n}` and `{count}` in it. */
export function written(text: string, n: Texts['n'], values: number | Values = {}, count = typeof values === 'number' ? values : undefined): string {
  const given: Values = typeof values === 'number' ? { n: n(values), count: n(values) } : values;
  return formOf(text, count).replace(/\{(\w+)\}/g, (_, name: string) => String(given[name] ?? ''));
}

export const useTexts = (): Texts => inject(TEXTS, () => createTexts('en'), true);

// Two forms are for one and the others, three for none, one and the others.
function formOf(text: string, count: number | undefined): string {
  const forms = text.split(' | ');
  if (count === undefined || forms.length === 1) return forms[0]!;
  return forms.length === 2 ? forms[count === 1 ? 0 : 1]! : forms[Math.min(count, 2)]!;
}
