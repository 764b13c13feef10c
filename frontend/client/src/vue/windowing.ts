// Which part of a list is in sight. Where the list scrolls does not matter: it is measured from the window.
import { defaultRangeExtractor, observeWindowRect, useVirtualizer, type Range, type VirtualItem, type Virtualizer } from '@tanstack/vue-virtual';
import { computed, watch, type ComputedRef, type Ref } from 'vue';

import { ROW_PIXELS } from './rowHeight.ts';

const OVERSCAN = 10;

type Window = Virtualizer<HTMLElement, HTMLElement>;
type Tell<Value> = (value: Value, isScrolling: boolean) => void;

export interface Windowing {
  seen: ComputedRef<{ parts: readonly VirtualItem[]; height: number }>;
  /** What is drawn says how high it is, and null that something is drawn no more. */
  measure(element: HTMLElement | null): void;
}

export function useWindowing(list: Ref<HTMLElement | undefined>, ids: Ref<readonly string[]>, heldAt: Ref<readonly number[]>, isLong: Ref<boolean>): Windowing {
  const window_ = useVirtualizer<HTMLElement, HTMLElement>(computed(() => {
    const [known, held] = [ids.value, heldAt.value];
    return {
      enabled: isLong.value,
      count: known.length,
      overscan: OVERSCAN,
      getItemKey: (index: number) => known[index]!,
      estimateSize: () => ROW_PIXELS,
      rangeExtractor: (range: Range) => [...new Set([...defaultRangeExtractor(range), ...held])].sort((one, other) => one - other),
      getScrollElement: () => window as unknown as HTMLElement,
      observeElementRect: observeWindowRect as unknown as (of: Window, tell: Tell<{ width: number; height: number }>) => void,
      observeElementOffset: (_: Window, tell: Tell<number>) => onMoves(() => tell(Math.max(0, -(list.value?.getBoundingClientRect().top ?? 0)), false)),
      scrollToFn: () => {}, // the browser keeps what is in sight where it is
    };
  }));
  const measure = (element: HTMLElement | null): void => window_.value.measureElement(element);
  // What was drawn before the list was long.
  watch(isLong, () => list.value?.querySelectorAll<HTMLElement>('[data-index]').forEach(measure), { flush: 'post', immediate: true });
  return { measure, seen: computed(() => ({ parts: window_.value.getVirtualItems(), height: window_.value.getTotalSize() })) };
}

/** Calls the function now, and whenever something may have moved in the window. */
function onMoves(call: () => void): () => void {
  const resized = new ResizeObserver(call);
  resized.observe(document.body);
  window.addEventListener('scroll', call, { capture: true, passive: true });
  call();
  return () => {
    resized.disconnect();
    window.removeEventListener('scroll', call, { capture: true });
  };
}
