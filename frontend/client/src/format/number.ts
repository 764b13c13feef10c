import { once } from './once.ts';

const numberIn = once((locale) => new Intl.NumberFormat(locale));

export const number = (value: number, locale: string): string => numberIn(locale).format(value);
