// Jobs of a pipeline beyond those that came with it: page by page, as far as somebody looks, and kept current by the cache.
import { useClientHandle } from '@urql/vue';
import { computed, onScopeDispose, reactive, watch, type Ref } from 'vue';

import { FurtherJobsDocument, type JobRowFragment } from '@gql-server/client';

interface Further { nodes: readonly JobRowFragment[]; next: string | null }

export function useFurtherJobs(pipeline: Ref<string>, first: Ref<readonly JobRowFragment[]>, after: Ref<string | null>) {
  const client = useClientHandle().client;
  const pages = reactive(new Map<string, Further | undefined>());
  const open: (() => void)[] = [];

  function forget(): void {
    open.splice(0).forEach((close) => close());
    pages.clear();
  }
  watch(pipeline, forget);
  onScopeDispose(forget);

  const read = computed(() => [...pages.values()].filter((page) => page !== undefined));
  const end = computed(() => (pages.size === 0 ? after.value : [...pages.values()].at(-1)?.next));
  // A page that is still awaited has no end yet.
  const isWhole = computed(() => end.value === null);
  const every = computed(() => {
    const known = new Map([...first.value, ...read.value.flatMap(({ nodes }) => nodes)].map((job) => [job.id, job]));
    return [...known.values()];
  });

  function more(): void {
    const cursor = end.value;
    if (!cursor || pages.has(cursor)) return;
    pages.set(cursor, undefined);
    const { unsubscribe } = client.query(FurtherJobsDocument, { id: pipeline.value, after: cursor }).subscribe(({ data, error }) => {
      if (error) pages.delete(cursor);
      const jobs = data?.pipeline?.jobs;
      if (jobs) pages.set(cursor, { nodes: jobs.nodes, next: jobs.pageInfo.hasNextPage ? jobs.pageInfo.endCursor : null });
    });
    open.push(unsubscribe);
  }

  return { every, isWhole, more };
}
