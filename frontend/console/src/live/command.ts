// A command that a dialog asks for: it has one key, so that what was done is not done twice when it is asked for again.
import type { TypedDocumentNode } from '@urql/core';
import { useMutation } from '@urql/vue';
import { ref } from 'vue';

import { key, refusalOf } from '../format/problems';

type Result = { __typename: string; message?: string };

export function useCommand<Data extends object, Input extends { idempotencyKey?: unknown }>(document: TypedDocumentNode<Data, { input: Input }>) {
  const { executeMutation, fetching: isAsking } = useMutation<Data, { input: Input }>(document);
  const refusal = ref<string>();
  const idempotencyKey = key();

  // Its result; undefined where it was refused, which `refusal` tells.
  async function ask(given: Omit<Input, 'idempotencyKey'>): Promise<NonNullable<Data[keyof Data]> | undefined> {
    const { data, error } = await executeMutation({ input: { ...given, idempotencyKey } as unknown as Input });
    const [result] = Object.values(data ?? {}) as NonNullable<Data[keyof Data]>[];
    refusal.value = refusalOf(result as Result | undefined, error);
    return refusal.value ? undefined : result;
  }

  return { ask, refusal, isAsking };
}
