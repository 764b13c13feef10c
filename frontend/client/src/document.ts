// Documents are kept as text: a tree costs several times as much to load and to read, for operations that most pages never send.
import { parse } from '@0no-co/graphql.web';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';

/** A document that is parsed when somebody looks into it. */
export function document<Data, Variables>(text: string): TypedDocumentNode<Data, Variables> {
  let definitions: TypedDocumentNode['definitions'] | undefined;
  return {
    kind: 'Document' as TypedDocumentNode['kind'],
    get definitions() { return (definitions ??= parse(text, { noLocation: true }).definitions as TypedDocumentNode['definitions']); },
  };
}
