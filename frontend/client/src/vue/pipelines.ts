// A live list of pipelines, with the counts of its alert strip.
import { onScopeDispose, ref, shallowRef, toValue, watch, type MaybeRefOrGetter } from 'vue';

import { AlertsDocument, type FacetPartsFragment, type PipelineFilter } from '../generated/operations.ts';
import { follow, type Following, type FollowOptions } from '../live/follow.ts';
import type { Page, Row } from '../live/list.ts';
import { stable, useGraph, whenLiveAgain } from './graph.ts';

export interface Window { after?: string; before?: string }

export interface PipelinesOptions extends Pick<FollowOptions, 'size' | 'manner'> {
  filter?: MaybeRefOrGetter<PipelineFilter>;
  /** Where the list begins: with the newest unless said. */
  window?: MaybeRefOrGetter<Window>;
  /** Keep the counts of the alert strip, too. */
  alerts?: boolean;
  /** Called for each pipeline that is told to have failed. */
  onFailure?(pipeline: Row): void;
}

export function usePipelines({ filter = {}, window = {}, size, manner, alerts: counted = false, onFailure }: PipelinesOptions = {}) {
  const graph = useGraph();
  const page = shallowRef<Page>();
  const rows = shallowRef<readonly Row[]>([]);
  const entered = shallowRef<readonly Row[]>([]);
  const left = shallowRef<ReadonlySet<string>>(new Set());
  const alerts = shallowRef<readonly FacetPartsFragment[]>([]);
  const error = ref<string>();
  const isLoading = ref(true);
  const asked = stable(() => ({ filter: toValue(filter), ...toValue(window) }));
  let following: Following | undefined;

  watch(asked, (now, _before, onCleanup) => {
    isLoading.value = true;
    let strip: (() => void) | undefined;
    following = follow(graph, {
      ...now, size, manner,
      changed: (list, shown) => {
        if (page.value?.feedToken !== shown.feedToken) {
          alerts.value = shown.facets ?? [];
          error.value = undefined;
          isLoading.value = false;
          strip?.();
          strip = counted ? graph.subscribe(AlertsDocument, { filter: now.filter }, { next: ({ facets }) => { alerts.value = facets; } }) : undefined;
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
    onCleanup(() => {
      following?.stop();
      strip?.();
    });
  }, { immediate: true });

  function refresh(): void {
    isLoading.value = true;
    following?.refresh();
  }

  // An answer that did not come over a lost connection is asked for again with it.
  whenLiveAgain(graph.connection, () => error.value !== undefined, refresh);
  onScopeDispose(() => following?.stop());
  return {
    page, rows, entered, left, alerts, error, isLoading, refresh,
    more: () => following?.more(),
    accept: () => following?.accept(),
  };
}
