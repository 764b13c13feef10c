// One pipeline, read once and followed from there; what a message does not tell is read again.
import { useClientHandle } from '@urql/vue';
import { debounce } from 'quasar';
import { computed, onScopeDispose, ref, watch, type Ref } from 'vue';

import { connection } from '../graph/connection';
import { PipelineFollowDocument, PipelinePageDocument, type PipelinePageQuery } from '../graph/generated/operations';

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const READ_AGAIN = 500;

export function usePipeline(id: Ref<string>) {
  const client = useClientHandle().client;
  const pipeline = ref<PipelinePageQuery['pipeline']>();
  const error = ref<string>();
  const by = computed(() => (UUID.test(id.value) ? { pipelineId: id.value } : { id: id.value }));

  watch(by, (asked, _before, onCleanup) => {
    pipeline.value = undefined;
    let following: { unsubscribe(): void } | undefined;
    const page = client.query(PipelinePageDocument, { by: asked }, { requestPolicy: 'network-only' }).subscribe(({ data, error: failure, stale }) => {
      error.value = failure?.message;
      if (!data || stale) return;
      pipeline.value = data.pipeline;
      if (!data.pipeline || following) return;
      following = client.subscription(PipelineFollowDocument, { by: asked, after: data.pipeline.feedToken }).subscribe(() => readAgain());
    });
    onCleanup(() => {
      page.unsubscribe();
      following?.unsubscribe();
    });
  }, { immediate: true });

  const refresh = (): void => void client.query(PipelinePageDocument, { by: by.value }, { requestPolicy: 'network-only' }).toPromise();
  const readAgain = debounce(refresh, READ_AGAIN);
  onScopeDispose(watch(() => connection.state, (state) => { if (state === 'live' && error.value) refresh(); }));
  onScopeDispose(() => readAgain.cancel());
  return { pipeline, error, refresh };
}
