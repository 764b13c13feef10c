// A page of pipelines that stays as it was loaded: what changes changes in its row, what enters is offered, what leaves is shown.
import { useClientHandle } from '@urql/vue';
import { computed, onScopeDispose, reactive, ref, watch, type Ref } from 'vue';

import { connection } from '../graph/connection';
import {
  AlertsDocument, PipelineFeedDocument, PipelinesDocument,
  type FacetPartsFragment, type PipelineFeedSubscription, type PipelineFilter, type PipelineRowFragment, type PipelinesQuery,
} from '../graph/generated/operations';

export const PAGE_SIZE = 50;
export interface Window { after?: string; before?: string }
type FeedMessage = NonNullable<PipelineFeedSubscription['pipelines']>;

export function usePipelineList(filter: Ref<PipelineFilter>, window: Ref<Window>, onFailure: (pipeline: PipelineRowFragment) => void) {
  const client = useClientHandle().client;
  const page = ref<NonNullable<PipelinesQuery['pipelines']>>();
  const alerts = ref<readonly FacetPartsFragment[]>([]);
  const error = ref<string>();
  const isLoading = ref(true);
  const entered = reactive(new Map<string, PipelineRowFragment>());
  const left = reactive(new Set<string>());
  const reading = ref(0);

  // Reads the page anew whenever what is asked for changes, and follows it from the very position at which it was read.
  watch([filter, window, reading], (_now, _before, onCleanup) => {
    isLoading.value = true;
    const { after, before } = window.value;
    const size = before ? { last: PAGE_SIZE, before } : { first: PAGE_SIZE, after: after ?? null };
    let following: { unsubscribe(): void } | undefined;
    const asked = client.query(PipelinesDocument, { filter: filter.value, ...size }, { requestPolicy: 'network-only' }).subscribe((answer) => {
      isLoading.value = answer.stale;
      error.value = answer.error?.message;
      if (!answer.data?.pipelines || answer.stale) return;
      const isNew = page.value?.feedToken !== answer.data.pipelines.feedToken;
      page.value = answer.data.pipelines;
      if (!isNew) return;
      entered.clear();
      left.clear();
      alerts.value = answer.data.pipelines.facets ?? [];
      following?.unsubscribe();
      following = follow(answer.data.pipelines.feedToken);
    });
    onCleanup(() => {
      asked.unsubscribe();
      following?.unsubscribe();
    });
  }, { immediate: true });

  function follow(after: string): { unsubscribe(): void } {
    const feed = client.subscription(PipelineFeedDocument, { filter: filter.value, after }).subscribe(({ data }) => {
      if (data?.pipelines) take(data.pipelines);
    });
    const counts = client.subscription(AlertsDocument, { filter: filter.value }).subscribe(({ data }) => {
      if (data?.facets) alerts.value = data.facets;
    });
    return { unsubscribe: () => { feed.unsubscribe(); counts.unsubscribe(); } };
  }

  function take(message: FeedMessage): void {
    switch (message.__typename) {
      case 'PipelineEntered': return enter(message.pipeline);
      case 'PipelineChanged': return change(message.pipeline);
      case 'PipelineLeft': return leave(message.pipelineNodeId);
      case 'FeedReset': return refresh();
    }
  }

  function enter(pipeline: PipelineRowFragment): void {
    if (pipeline.tone === 'DANGER') onFailure(pipeline);
    if (left.delete(pipeline.id) || isShown(pipeline.id)) return;
    if (belongsHere(pipeline)) entered.set(pipeline.id, pipeline);
  }

  function change(pipeline: PipelineRowFragment): void {
    if (pipeline.tone === 'DANGER') onFailure(pipeline);
    if (entered.has(pipeline.id)) entered.set(pipeline.id, pipeline);
  }

  function leave(id: string): void {
    if (!entered.delete(id) && isShown(id)) left.add(id);
  }

  const rows = computed(() => page.value?.nodes ?? []);
  const isShown = (id: string): boolean => rows.value.some((row) => row.id === id);

  // What is older than the last row belongs to a page that is not loaded.
  function belongsHere({ createdAt }: PipelineRowFragment): boolean {
    const last = rows.value.at(-1);
    return !page.value?.pageInfo.hasNextPage || last === undefined || Date.parse(createdAt) >= Date.parse(last.createdAt);
  }

  function refresh(): void {
    reading.value += 1;
  }

  // An answer that did not come over a lost connection is asked for again with it.
  const returning = watch(() => connection.state, (state) => { if (state === 'live' && error.value) refresh(); });
  onScopeDispose(returning);

  return { page, rows, alerts, error, isLoading, entered, left, refresh };
}
