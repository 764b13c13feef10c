// Reads a page again, a moment after something that concerns it happened.
import { useClientHandle } from '@urql/vue';
import type { AnyVariables, TypedDocumentNode } from '@urql/core';
import { debounce } from 'quasar';
import { onScopeDispose, watch, type Ref } from 'vue';

import { connection } from '../graph/connection';

const WAIT = 500;

export function useReadAgain<Data, Variables extends AnyVariables>(document: TypedDocumentNode<Data, Variables>, variables: Ref<Variables>, read: () => void): void {
  const client = useClientHandle().client;
  const soon = debounce(read, WAIT);
  watch(variables, (asked, _before, onCleanup) => {
    const following = client.subscription(document, asked).subscribe(({ data }) => { if (data) soon(); });
    onCleanup(() => following.unsubscribe());
  }, { immediate: true });
  watch(() => connection.state, (now, before) => { if (now === 'live' && before !== 'connecting') soon(); });
  onScopeDispose(() => soon.cancel());
}
