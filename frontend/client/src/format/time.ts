// Instants and spans as a reader takes them in.
import { onScopeDispose, readonly, ref } from 'vue';

import { once } from './once.ts';

const UNITS: [Intl.RelativeTimeFormatUnit, number][] = [['year', 31_557_600], ['month', 2_629_800], ['day', 86_400], ['hour', 3_600], ['minute', 60]];
const two = (value: number): string => String(value).padStart(2, '0');
const current = ref(Date.now());
let readers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

// One clock for the page, which stands still when nobody looks at it.
export function useNow() {
  if (readers++ === 0) {
    current.value = Date.now();
    timer = setInterval(() => { current.value = Date.now(); }, 1_000);
  }
  onScopeDispose(() => { if (--readers === 0) clearInterval(timer); });
  return readonly(current);
}

// — / <1s / 42s / 3m07s / 2h05m
export function duration(seconds: number | null | undefined): string {
  if (seconds == null || Number.isNaN(seconds)) return '—';
  if (seconds < 1) return '<1s';
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3_600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`;
  return `${Math.floor(whole / 3_600)}h${two(Math.floor((whole % 3_600) / 60))}m`;
}

// What has not finished is measured up to now.
export function elapsed({ startedAt, finishedAt, durationSeconds }: { startedAt: string | null; finishedAt: string | null; durationSeconds: number | null }, now: number): number | null {
  if (startedAt === null) return null;
  return finishedAt === null ? Math.max(0, (now - Date.parse(startedAt)) / 1_000) : durationSeconds;
}

const relativeIn = once((locale) => new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' }));
const exactIn = once((locale) => new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'long' }));
const clockIn = once((locale) => new Intl.DateTimeFormat(locale, { timeStyle: 'medium' }));

export function relative(instant: string, now: number, locale: string): string {
  const seconds = (Date.parse(instant) - now) / 1_000;
  const format = relativeIn(locale);
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ['second', 1];
  return unit === 'second' && Math.abs(seconds) < 5 ? format.format(0, 'second') : format.format(Math.trunc(seconds / size), unit);
}

export function exact(instant: string | number, locale: string): string {
  return exactIn(locale).format(new Date(instant));
}

export function clock(instant: number, locale: string): string {
  return clockIn(locale).format(new Date(instant));
}
