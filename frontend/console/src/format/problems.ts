// What a command answered, told to the reader.
import type { CombinedError } from '@urql/core';

import { said } from '../i18n';
import { show } from '../notices';

export const key = (): string => {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6]! & 0x0f) | 0x40;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('').replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
};

export const reasonOf = (error: CombinedError): string => said(error.graphQLErrors[0]?.message ?? error.networkError?.message ?? error.message);

// The sentence why it was not done; undefined when it was.
export function refusalOf(result: { __typename: string; message?: string } | null | undefined, error?: CombinedError): string | undefined {
  if (error) return reasonOf(error);
  return result?.__typename.endsWith('Problem') ? said(result.message ?? '') : undefined;
}

export function tell(message: string, isGood = true): void {
  show({ message, classes: isGood ? 'notice' : 'notice notice--bad', ...(isGood ? {} : { timeout: 12_000 }), attrs: { role: isGood ? 'status' : 'alert' } });
}

// For what is done at once and may be taken back for a while.
export function offerUndo(message: string, label: string, undo: () => void): void {
  show({ message, classes: 'notice', timeout: 15_000, attrs: { role: 'status' }, actions: [{ label, noCaps: true, dense: true, color: 'white', handler: undo }] });
}
