// A list that is read once, and followed from the very position at which it was read: nothing is missed, nothing is told twice.
import type { Graph } from '../graph.ts';
import { PipelineFeedDocument, PipelinesDocument, type PipelineFilter, type PipelinesQueryVariables } from '../generated/operations.ts';
import { LiveList, type FeedMessage, type Manner, type Page } from './list.ts';

const PAGE_SIZE = 50;
const FRAME = 250;

export interface FollowOptions {
  filter?: PipelineFilter;
  /** Rows of a page; 50 unless said, as many as the server gives at most. */
  size?: number;
  /** Begin after or before this cursor instead of with the newest. */
  after?: string | undefined;
  before?: string | undefined;
  manner?: Manner;
  /** Called whenever the list is read, also anew: what belongs beside it is asked for now. */
  reading?(): void;
  /** The list after what happened until now: at most once a frame, and with the page when it was read. */
  changed(list: LiveList, page: Page): void;
  /** Each message, before it is applied. */
  each?(message: FeedMessage): void;
  failed?(error: Error): void;
}

export interface Following {
  /** Reads the list anew. */
  refresh(): void;
  /** Reads the next older page, and follows it too. */
  more(): Promise<void>;
  /** Puts what is on offer in its place. */
  accept(): void;
  stop(): void;
}

/** Variables with which a list of these options is read first. */
export function pageVariables({ filter = {}, size = PAGE_SIZE, after, before }: Pick<FollowOptions, 'filter' | 'size' | 'after' | 'before'>): PipelinesQueryVariables {
  return { filter, ...(before ? { last: size, before } : { first: size, after: after ?? null }) };
}

export function follow(graph: Graph, { filter = {}, size = PAGE_SIZE, after, before, manner = 'follow', reading, changed, each, failed }: FollowOptions): Following {
  let stopped = new AbortController();
  let list: LiveList | undefined;
  let page: Page | undefined;
  let unsubscribe: (() => void) | undefined;
  let isExtending = false;
  let waiting: FeedMessage[] = [];

  function settle(): void {
    if (!list || !page || isExtending || waiting.length === 0) return;
    const messages = waiting;
    waiting = [];
    if (list.apply(messages)) changed(list, page);
    else refresh();
  }
  const settleSoon = atMostOncePerFrame(settle);

  async function read(): Promise<void> {
    const { signal } = stopped;
    const asked = graph.query(PipelinesDocument, pageVariables({ filter, size, after, before }), signal);
    reading?.();
    const { data, error } = await asked;
    if (signal.aborted) return;
    if (error) failed?.(error);
    if (!data?.pipelines) return;
    page = data.pipelines;
    list = new LiveList(page, manner);
    changed(list, page);
    unsubscribe = graph.subscribe(PipelineFeedDocument, { filter, after: page.feedToken }, {
      next: ({ pipelines }) => {
        each?.(pipelines);
        waiting.push(pipelines);
        settleSoon();
      },
      error: (reason) => failed?.(reason),
    });
  }

  // What happens while the page is on its way is applied to it, too: it may have been read before.
  async function more(): Promise<void> {
    if (!list?.hasMore || !page?.pageInfo.endCursor || isExtending) return;
    isExtending = true;
    const { signal } = stopped;
    const { data, error } = await graph.query(PipelinesDocument, { filter, first: size, after: page.pageInfo.endCursor }, signal);
    if (signal.aborted) return;
    isExtending = false;
    if (error) failed?.(error);
    if (data?.pipelines) {
      list.append(data.pipelines);
      page = { ...page, pageInfo: { ...page.pageInfo, hasNextPage: data.pipelines.pageInfo.hasNextPage, endCursor: data.pipelines.pageInfo.endCursor } };
      if (waiting.length === 0) changed(list, page);
    }
    settle();
  }

  function stop(): void {
    stopped.abort();
    unsubscribe?.();
    [unsubscribe, waiting, isExtending] = [undefined, [], false];
  }

  function refresh(): void {
    stop();
    stopped = new AbortController();
    void read();
  }

  void read();
  return { refresh, more, stop, accept: () => { if (list && page) { list.accept(); changed(list, page); } } };
}

/** Calls the function before the next picture, or soon where nothing is painted. */
function atMostOncePerFrame(call: () => void): () => void {
  let isDue = false;
  const run = (): void => {
    if (!isDue) return;
    isDue = false;
    call();
  };
  return () => {
    if (isDue) return;
    isDue = true;
    if (typeof requestAnimationFrame === 'function') requestAnimationFrame(run);
    setTimeout(run, FRAME);
  };
}
