// Counts of a live list; what was known stays until it is counted again.
import { onScopeDispose, ref, shallowRef } from 'vue';

import type { PipelineFilter } from '../generated/operations.ts';
import { count, type Counts } from '../live/counts.ts';
import { useGraph, whenLiveAgain } from './graph.ts';

export function useCounts() {
  const graph = useGraph();
  const counts = shallowRef<Counts>();
  const isCounting = ref(false);
  let again: (() => void) | undefined;
  let stop: (() => void) | undefined;

  function ask(filter: PipelineFilter): void {
    stop?.();
    isCounting.value = true;
    again = () => ask(filter);
    stop = count(graph, filter, (told) => {
      counts.value = told;
      isCounting.value = false;
    });
  }

  whenLiveAgain(graph.connection, () => counts.value?.error !== undefined, () => again?.());
  onScopeDispose(() => stop?.());
  return { counts, isCounting, ask };
}
