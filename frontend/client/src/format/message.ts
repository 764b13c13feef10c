// What a row says: how far the pipeline is, and in the end how it went.
import type { Row } from '../live/list.ts';
import type { Texts } from '../vue/texts.ts';

const hasFailed = ({ status, tone }: Row): boolean => status === 'PARTIAL' || tone === 'DANGER';

export function saidOf(pipeline: Row): string | null {
  return hasFailed(pipeline) ? (pipeline.lastError ?? pipeline.message) : pipeline.message;
}

export function messageOf(pipeline: Row, { t, n }: Pick<Texts, 't' | 'n'>): string | null {
  if (pipeline.isTerminal) return saidOf(pipeline);
  const { phase, phaseIndex, phaseCount, rows } = pipeline.progress;
  const count = rows === null ? '' : ` · ${n(rows.processed)}${rows.total === null ? '' : ` / ${n(rows.total)}`}`;
  return `${t('pipeops_phase_prefix', { index: phaseIndex, count: phaseCount })} · ${t(`pipeops_phase_${phase.toLowerCase()}`)}${count}`;
}
