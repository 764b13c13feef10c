// Filters of the list of pipelines that somebody saved under a name: operations that take a `PipelineFilter`, of whichever client.
import { stringifyDocument } from '@urql/core';
import { useClientHandle, useQuery } from '@urql/vue';
import { computed, ref } from 'vue';

import { merged } from '../format/filters';
import { key, refusalOf } from '../format/problems';
import {
  DeleteViewDocument, SavedPipelinesDocument, SavedViewsDocument, SaveViewDocument,
  type PipelineFilter, type ViewPartsFragment,
} from '@gql-server/client';

const TAKES_FILTER = /\$filter\s*:\s*PipelineFilter\b/;
export interface SavedView { id: string; name: string; isShared: boolean; isMine: boolean; owner: string | null; filter: PipelineFilter }
export type NewView = Pick<SavedView, 'name' | 'isShared' | 'filter'> & { id?: string };

function viewOf({ id, name, isShared, isMine, owner, variables, document }: ViewPartsFragment): SavedView[] {
  const filter = (variables as { filter?: PipelineFilter } | null)?.filter;
  return filter && TAKES_FILTER.test(document) ? [{ id, name, isShared, isMine, owner: owner?.displayName ?? null, filter: merged({}, filter) }] : [];
}

export function useSavedViews() {
  const client = useClientHandle().client;
  const isAsked = ref(false);
  const { data, error, executeQuery } = useQuery({ query: SavedViewsDocument, pause: computed(() => !isAsked.value) });
  const views = computed(() => (data.value?.viewer.views ?? []).flatMap(viewOf));

  function read(): void {
    if (isAsked.value) void executeQuery({ requestPolicy: 'network-only' });
    isAsked.value = true;
  }

  // The sentence why it was not saved, and whether that is about the name.
  async function save({ id, name, isShared, filter }: NewView): Promise<string | undefined> {
    const input = { id: id ?? null, name, isShared, document: stringifyDocument(SavedPipelinesDocument), variables: { filter }, idempotencyKey: key() };
    const answer = await client.mutation(SaveViewDocument, { input }).toPromise();
    read();
    return refusalOf(answer.data?.saveView, answer.error);
  }

  async function remove(id: string): Promise<string | undefined> {
    const answer = await client.mutation(DeleteViewDocument, { input: { id, idempotencyKey: key() } }).toPromise();
    read();
    return refusalOf(answer.data?.deleteView, answer.error);
  }

  return { views, error, read, save, remove, isRead: computed(() => data.value !== undefined) };
}
