// When those of a page that run will probably have ended: read once for each, because it follows from when it started.
import { useClientHandle } from '@urql/vue';
import { debounce } from 'quasar';
import { computed, onScopeDispose, reactive, watch, type Ref } from 'vue';

import { EstimatesDocument, type EstimatePartsFragment, type PipelineRowFragment } from '@gql-server/client';

const WAIT = 1_000;
const AT_MOST = 100;

export function useEstimates(rows: Ref<readonly PipelineRowFragment[]>) {
  const client = useClientHandle().client;
  const estimates = reactive(new Map<string, EstimatePartsFragment>());
  const asked = new Set<string>();
  const running = computed(() => rows.value.filter(({ isTerminal, startedAt, isOrphan }) => !isTerminal && !isOrphan && startedAt !== null).map(({ id }) => id));
  const unknown = computed(() => running.value.filter((id) => !asked.has(id)).slice(0, AT_MOST));

  const ask = debounce(async () => {
    const ids = running.value.filter((id) => !asked.has(id)).slice(0, AT_MOST);
    if (ids.length === 0) return;
    ids.forEach((id) => asked.add(id));
    const { data } = await client.query(EstimatesDocument, { ids }, { requestPolicy: 'network-only' }).toPromise();
    for (const { id, progress } of data?.pipelines?.nodes ?? []) if (progress.estimate) estimates.set(id, progress.estimate);
  }, WAIT);
  watch(unknown, (ids) => { if (ids.length > 0) void ask(); }, { immediate: true });
  onScopeDispose(() => ask.cancel());
  return estimates;
}
