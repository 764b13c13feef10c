// Of a long list what is in sight is drawn, and what somebody holds there: a gap stands for the others.
import { computed, getCurrentScope, shallowRef, watch, type Directive, type Ref } from 'vue';

import type { Windowing } from './windowing.ts';

/** A list of that many is drawn whole, so that the browser's own search finds all of it. */
const WHOLE = 100;

export interface Part<Item> {
  item: Item;
  index: number;
  /** Height of what is left out before it. */
  gap: number;
}

/** `held` are ids of those that are drawn wherever the reader is: one that has the focus, one that is open. */
export function useWindowed<Item extends { id: string }>(items: () => readonly Item[], list: Ref<HTMLElement | undefined>, held: () => readonly (string | undefined)[]) {
  const scope = getCurrentScope();
  const windowing = shallowRef<Windowing>();
  const isLong = computed(() => items().length > WHOLE);
  const ids = computed<readonly string[]>((before) => {
    const now = items().map(({ id }) => id);
    return before?.length === now.length && now.every((id, index) => id === before[index]) ? before : now;
  });
  const heldAt = computed(() => held().flatMap((id) => (id === undefined || !ids.value.includes(id) ? [] : [ids.value.indexOf(id)])));
  const seen = computed(() => (isLong.value ? windowing.value?.seen.value : undefined));

  // What draws a list in parts comes with the first that is long.
  watch(isLong, async (isNeeded) => {
    if (!isNeeded || windowing.value) return;
    const { useWindowing } = await import('./windowing.ts');
    scope?.run(() => { windowing.value = useWindowing(list, ids, heldAt, isLong); });
  }, { immediate: true });

  const parts = computed<Part<Item>[]>(() => {
    const now = items();
    if (!seen.value) return now.map((item, index) => ({ item, index, gap: 0 }));
    let end = 0;
    return seen.value.parts.flatMap(({ index, start, end: next }) => {
      const item = now[index];
      const gap = start - end;
      end = next;
      return item ? [{ item, index, gap }] : [];
    });
  });
  const rest = computed(() => (seen.value ? seen.value.height - (seen.value.parts.at(-1)?.end ?? 0) : 0));
  const vMeasured: Directive<HTMLElement> = { mounted: (element) => windowing.value?.measure(element), unmounted: () => windowing.value?.measure(null) };
  return { isWindowed: computed(() => seen.value !== undefined), parts, rest, vMeasured };
}
