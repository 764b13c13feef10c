// What of its actions a pipeline offers to this viewer now.
import type { PipelineRowFragment } from '@gql-server/client';

export type Action = 'abort' | 'retry';

export function mayDo({ isTerminal, isOrphan, viewerCan }: PipelineRowFragment): Action | undefined {
  if (!isTerminal) return !isOrphan && viewerCan.abort.allowed ? 'abort' : undefined;
  return viewerCan.retry.allowed || viewerCan.retryReplacingNewer.allowed ? 'retry' : undefined;
}

/** The same in a list, where only what went wrong is retried. */
export function offered(pipeline: PipelineRowFragment): Action | undefined {
  const action = mayDo(pipeline);
  const isWrong = ['FAILED', 'PARTIAL'].includes(pipeline.status) || pipeline.tone === 'WARNING' || pipeline.tone === 'DANGER';
  return action === 'retry' && !isWrong ? undefined : action;
}
