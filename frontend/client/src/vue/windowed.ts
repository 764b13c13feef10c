// Of a long list what is in sight is drawn, and what somebody holds there: a gap stands for the others. Of a short one that is so at first.
import { computed, getCurrentScope, onScopeDispose, ref, shallowRef, watch, type Directive, type Ref } from 'vue';

import { ROW_PIXELS } from './rowHeight.ts';
import type { Windowing } from './windowing.ts';

/** A list of that many is drawn whole, so that the browser's own search finds all of it. */
const WHOLE = 100;
/** Whoever does any of these may look at what is below, or search the page for it. */
const MOVES = ['scroll', 'wheel', 'pointermove', 'pointerdown', 'keydown', 'focusin', 'resize', 'beforeprint'] as const;
/** So many are drawn at least, also where the window has no height yet. */
const FEWEST = 20;

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

  const drawn = useDrawn();
  const placed = computed(() => seen.value ?? begun(items().length, drawn.value, heldAt.value));
  const parts = computed<Part<Item>[]>(() => {
    const now = items();
    let end = 0;
    return placed.value.parts.flatMap(({ index, start, end: next }) => {
      const item = now[index];
      const gap = start - end;
      end = next;
      return item ? [{ item, index, gap }] : [];
    });
  });
  const rest = computed(() => placed.value.height - (placed.value.parts.at(-1)?.end ?? 0));
  const vMeasured: Directive<HTMLElement> = { mounted: (element) => windowing.value?.measure(element), unmounted: () => windowing.value?.measure(null) };
  return { isWindowed: computed(() => parts.value.length < items().length), parts, rest, vMeasured };
}

/** How many of the first are drawn: as many as a window holds until the reader moves in the page, then whichever there are. */
function useDrawn(): Ref<number> {
  const drawn = ref(Math.max(FEWEST, Math.ceil(window.innerHeight / ROW_PIXELS)));
  const drawAll = (): void => { drawn.value = Infinity; };
  const listen = (change: 'addEventListener' | 'removeEventListener'): void => MOVES.forEach((move) => window[change](move, drawAll, { capture: true, passive: true }));
  listen('addEventListener');
  watch(drawn, () => listen('removeEventListener'));
  onScopeDispose(() => listen('removeEventListener'));
  return drawn;
}

/** The first of a list, and those of the others that are held, where they will be. */
function begun(count: number, drawn: number, heldAt: readonly number[]) {
  const indices = Array.from({ length: Math.min(count, drawn) }, (_, index) => index);
  const further = new Set(heldAt.filter((index) => index >= drawn).sort((one, other) => one - other));
  return { parts: [...indices, ...further].map((index) => ({ index, start: index * ROW_PIXELS, end: (index + 1) * ROW_PIXELS })), height: count * ROW_PIXELS };
}
