// How a pipeline or job looks at a glance: a colour family of the server's tone, never without its sign and word.
import {
  matAutorenew, matBlock, matCheckCircle, matError, matHourglassTop, matTonality, matWarning,
} from '@quasar/extras/material-icons';

import type { JobRowFragment, PipelineRowFragment, StatusTone } from '../generated/operations.ts';

export interface Tier { name: string; colour: string; icon: string }

const TIERS = {
  partial: { name: 'partial', colour: 'partial', icon: matTonality },
  aborted: { name: 'aborted', colour: 'danger', icon: matBlock },
  failed: { name: 'failed', colour: 'danger', icon: matError },
  waiting: { name: 'waiting', colour: 'neutral', icon: matHourglassTop },
  running: { name: 'running', colour: 'progress', icon: matAutorenew },
  warning: { name: 'warning', colour: 'warning', icon: matWarning },
  done: { name: 'done', colour: 'success', icon: matCheckCircle },
} satisfies Record<string, Tier>;

export function tierOf({ status, tone, isTerminal, isAborted }: Pick<PipelineRowFragment, 'status' | 'tone' | 'isTerminal' | 'isAborted'>): Tier {
  if (isAborted) return TIERS.aborted;
  if (status === 'PARTIAL') return TIERS.partial;
  if (tone === 'DANGER') return TIERS.failed;
  if (!isTerminal) return status === 'NOT_STARTED' ? TIERS.waiting : TIERS.running;
  return tone === 'WARNING' ? TIERS.warning : TIERS.done;
}

export function tierOfJob({ state, result, isAborted }: Pick<JobRowFragment, 'state' | 'result'> & { isAborted?: boolean }): Tier {
  if (isAborted) return TIERS.aborted;
  if (state !== 'FINISHED') return state === 'RUNNING' ? TIERS.running : TIERS.waiting;
  if (result === 'ERROR') return TIERS.failed;
  return result === 'WARNING' ? TIERS.warning : TIERS.done;
}

const TONES: Record<StatusTone, Tier> = {
  DANGER: TIERS.failed, WARNING: TIERS.warning, PROGRESS: TIERS.running, SUCCESS: TIERS.done, NEUTRAL: { ...TIERS.waiting, icon: matTonality },
};
export const tierOfTone = (tone: StatusTone): Tier => TONES[tone];
