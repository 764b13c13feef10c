// One pipeline, read once and followed from there; what a message does not tell is read again.
import { onScopeDispose, ref, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue';

import { PipelineFollowDocument, PipelinePageDocument, type JobRowFragment, type PipelineFollowSubscription, type PipelinePageQuery } from '../generated/operations.ts';
import { stable, useGraph, whenLiveAgain } from './graph.ts';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const READ_AGAIN = 500;
type Shown = PipelinePageQuery['pipeline'];

/** By its `pipelineId` or global id; null when it is not there, or may not be seen. */
export function usePipeline(id: MaybeRefOrGetter<string>) {
  const graph = useGraph();
  const pipeline = shallowRef<Shown>();
  const error = ref<string>();
  const by = stable(() => (UUID.test(toValue(id)) ? { pipelineId: toValue(id) } : { id: toValue(id) }));
  let stopped = new AbortController();
  let soon: ReturnType<typeof setTimeout> | undefined;
  let unsubscribe: (() => void) | undefined;

  async function refresh(): Promise<void> {
    const { signal } = stopped;
    const answer = await graph.query(PipelinePageDocument, { by: by.value }, signal);
    if (signal.aborted) return;
    error.value = answer.error?.message;
    if (!answer.data) return;
    pipeline.value = answer.data.pipeline;
    if (answer.data.pipeline && !unsubscribe) unsubscribe = graph.subscribe(PipelineFollowDocument, { by: by.value, after: answer.data.pipeline.feedToken }, { next: take });
  }

  function take({ pipeline: message }: PipelineFollowSubscription): void {
    if (message.__typename === 'PipelineChanged' && pipeline.value) pipeline.value = changed(pipeline.value, message.pipeline, message.changedJobs);
    clearTimeout(soon);
    soon = setTimeout(() => void refresh(), READ_AGAIN);
  }

  function stop(): void {
    stopped.abort();
    clearTimeout(soon);
    unsubscribe?.();
    unsubscribe = undefined;
  }

  watch(by, () => {
    stop();
    stopped = new AbortController();
    pipeline.value = undefined;
    void refresh();
  }, { immediate: true });
  whenLiveAgain(graph.connection, () => error.value !== undefined, () => void refresh());
  onScopeDispose(stop);
  return { pipeline, error, refresh: (): void => void refresh() };
}

function changed(shown: NonNullable<Shown>, told: Partial<NonNullable<Shown>>, jobs: readonly JobRowFragment[]): NonNullable<Shown> {
  const changedJobs = new Map(jobs.map((job) => [job.id, job]));
  const nodes = (shown.jobs?.nodes ?? []).map((job) => changedJobs.get(job.id) ?? job);
  return { ...shown, ...told, jobs: { ...shown.jobs, nodes } };
}
