// After a loss graphql-ws sends what it was given once more: with the token of the last message in it, nothing is told twice.
import type { Client, FormattedExecutionResult, Sink } from 'graphql-ws';

interface Payload { query: string; variables: Record<string, unknown> }
type Message = { __typename?: string; token?: string } | null;

/** The live operation, which goes on from its `$after`, and after a loss from the last message that came. */
export function resumable<Data>(socket: Client, { query, variables }: Payload): { subscribe(sink: Sink<FormattedExecutionResult<Data, unknown>>): () => void } {
  const payload = { query, variables: { ...variables } };
  const remember = ({ data }: FormattedExecutionResult<Data, unknown>): void => {
    const [message] = Object.values((data ?? {}) as Record<string, Message>);
    // Of a reset the token is not kept: should what follows it not arrive, the old one asks for it again.
    if (message?.token && message.__typename !== 'FeedReset' && 'after' in payload.variables) payload.variables['after'] = message.token;
  };
  return {
    subscribe: (sink) => socket.subscribe<Data>(payload, { ...sink, next: (result) => { remember(result); sink.next(result); } }),
  };
}
