// A live list of pipelines, with its counts where they are wanted.
import { onScopeDispose, ref, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue';

import type { PipelineFilter } from '../generated/operations.ts';
import { follow, type Following, type FollowOptions } from '../live/follow.ts';
import type { Page, Row } from '../live/list.ts';
import { useCounts } from './counts.ts';
import { stable, useGraph, whenLiveAgain } from './graph.ts';

export interface Window { after?: string; before?: string }

export interface PipelinesOptions extends Pick<FollowOptions, 'size' | 'manner'> {
  filter?: MaybeRefOrGetter<PipelineFilter>;
  /** Where the list begins: with the newest unless said. */
  window?: MaybeRefOrGetter<Window>;
  /** Ask how many there are, and keep the counters of the alert strip. The rows do not wait for them. */
  counts?: boolean;
  /** Called for each pipeline that is told to have failed. */
  onFailure?(pipeline: Row): void;
}

export function usePipelines({ filter = {}, window = {}, size, manner, counts: isCounted = false, onFailure }: PipelinesOptions = {}) {
  const graph = useGraph();
  const page = shallowRef<Page>();
  const rows = shallowRef<readonly Row[]>([]);
  const entered = shallowRef<readonly Row[]>([]);
  const left = shallowRef<ReadonlySet<string>>(new Set());
  const error = ref<string>();
  const isLoading = ref(true);
  const { counts, isCounting, ask: count } = useCounts();
  const asked = stable(() => ({ filter: toValue(filter), ...toValue(window) }));
  let following: Following | undefined;

  watch(asked, (now, _before, onCleanup) => {
    isLoading.value = true;
    following = follow(graph, {
      ...now, size, manner,
      reading: () => { if (isCounted) count(now.filter); },
      changed: (list, shown) => {
        if (page.value?.feedToken !== shown.feedToken) {
          error.value = undefined;
          isLoading.value = false;
        }
        page.value = shown;
        rows.value = list.rows;
        if (entered.value.length + list.entered.size > 0) entered.value = [...list.entered.values()];
        if (left.value.size !== list.left.size) left.value = new Set(list.left);
      },
      each: (message) => { if ('pipeline' in message && message.pipeline.tone === 'DANGER') onFailure?.(message.pipeline); },
      failed: (reason) => {
        error.value = reason.message;
        isLoading.value = false;
      },
    });
    onCleanup(() => following?.stop());
  }, { immediate: true });

  function refresh(): void {
    isLoading.value = true;
    following?.refresh();
  }

  // An answer that did not come over a lost connection is asked for again with it.
  whenLiveAgain(graph.connection, () => error.value !== undefined, refresh);
  onScopeDispose(() => following?.stop());
  return {
    page, rows, entered, left, counts, isCounting, error, isLoading, refresh,
    more: () => following?.more(),
    accept: () => following?.accept(),
  };
}
