// When a run will probably have ended: said as roughly as past runs let it be known.
import { clock } from '@gql-server/client/vue';
import type { EstimatePartsFragment } from '@gql-server/client';

type Translate = (key: string, values?: Record<string, unknown>) => string;
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

// Whole minutes up to ten, then steps of five, then quarters of an hour.
export function rough(milliseconds: number): { hours: number; minutes: number } {
  const step = milliseconds <= 10 * MINUTE ? MINUTE : milliseconds <= HOUR ? 5 * MINUTE : 15 * MINUTE;
  const rounded = Math.max(1, Math.round(milliseconds / step)) * step;
  return { hours: Math.floor(rounded / HOUR), minutes: (rounded % HOUR) / MINUTE };
}

function span(milliseconds: number, t: Translate): string {
  const { hours, minutes } = rough(milliseconds);
  return [hours && t('pipeops_estimate_hours', { hours }), minutes && t('pipeops_estimate_minutes', { minutes })].filter(Boolean).join(' ');
}

export function expected({ finishAtP50, finishAtP90, isSlowerThanP95 }: EstimatePartsFragment, now: number, t: Translate): string {
  const [half, most] = [Date.parse(finishAtP50) - now, Date.parse(finishAtP90) - now];
  if (isSlowerThanP95 || most <= 0) return t('pipeops_estimate_late');
  if (half <= 0) return t('pipeops_estimate_soon', { time: span(most, t) });
  return half < MINUTE ? t('pipeops_estimate_moment') : t('pipeops_estimate_left', { time: span(half, t) });
}

export function grounds({ finishAtP50, finishAtP90, sampleSize }: EstimatePartsFragment, t: Translate, locale: string): string {
  return t('pipeops_estimate_grounds', { count: sampleSize, half: clock(Date.parse(finishAtP50), locale), most: clock(Date.parse(finishAtP90), locale) });
}
