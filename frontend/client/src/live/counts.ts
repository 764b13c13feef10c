// How many there are, asked beside the rows: in a large ledger counting takes far longer than reading a page.
import type { Graph } from '../graph.ts';
import { AlertsDocument, PipelineCountsDocument, type FacetPartsFragment, type PipelineCountsQuery, type PipelineFilter } from '../generated/operations.ts';

export interface Counts {
  total?: PipelineCountsQuery['pipelines']['totalCount'] | undefined;
  /** The counters of the alert strip; none while they are not known. */
  alerts: readonly FacetPartsFragment[];
  /** Why some of it is missing. */
  error?: Error | undefined;
}

/** Tells the counts of a list, then its alerts whenever they change, until the returned function is called. */
export function count(graph: Graph, filter: PipelineFilter, told: (counts: Counts) => void): () => void {
  const stopped = new AbortController();
  let unsubscribe: (() => void) | undefined;

  // One after the other, so that the alerts are not counted twice at once.
  async function read(): Promise<void> {
    const { data, error } = await graph.query(PipelineCountsDocument, { filter }, stopped.signal);
    if (stopped.signal.aborted) return;
    const counts = { total: data?.pipelines?.totalCount ?? undefined, alerts: data?.pipelines?.facets ?? [], error };
    told(counts);
    unsubscribe = graph.subscribe(AlertsDocument, { filter }, { next: ({ facets }) => told({ ...counts, alerts: facets }) });
  }

  void read();
  return () => {
    stopped.abort();
    unsubscribe?.();
  };
}
