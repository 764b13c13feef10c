import type { Answer, Graph, Sink } from '../src/graph.ts';

export const soon = () => new Promise((resolve) => setTimeout(resolve, 300));

// A server whose answers are given by hand.
export function scripted() {
  const asked: { variables: Record<string, unknown>; answer(data: unknown, error?: Error): void }[] = [];
  const feeds: { variables: Record<string, unknown>; sink: Sink<never>; isOpen: boolean }[] = [];
  const graph = {
    query: (_document: unknown, variables: Record<string, unknown>) => new Promise<Answer<unknown>>((resolve) => asked.push({ variables, answer: (data, error) => resolve({ data, error }) })),
    subscribe: (_document: unknown, variables: Record<string, unknown>, sink: Sink<never>) => {
      const feed = { variables, sink, isOpen: true };
      feeds.push(feed);
      return () => { feed.isOpen = false; };
    },
  } as unknown as Graph;
  const tell = (message: object) => feeds.at(-1)!.sink.next({ pipelines: { token: 'later', ...message } } as never);
  return { graph, asked, feeds, tell };
}
