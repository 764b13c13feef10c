// A list of pipelines, newest first, kept by the messages of its feed. What is older than its last row belongs to pages that are not loaded.
import type { PipelineFeedSubscription, PipelineRowFragment, PipelinesQuery } from '../generated/operations.ts';

export type Row = PipelineRowFragment;
export type Page = PipelinesQuery['pipelines'];
export type FeedMessage = PipelineFeedSubscription['pipelines'];
/** What enters is put in its place, and what leaves is taken out; or both are only told, and the rows stay where they are. */
export type Manner = 'follow' | 'offer';

const isNewer = (one: Row, other: Row): boolean =>
  one.createdAt === other.createdAt ? (one.pipelineId ?? one.id) > (other.pipelineId ?? other.id) : Date.parse(one.createdAt) > Date.parse(other.createdAt);

export class LiveList {
  /** Newest first; another array whenever a row is another one. */
  rows: readonly Row[];
  /** Rows on offer, by id. */
  readonly entered = new Map<string, Row>();
  /** Ids of rows that are shown and no longer belong here. */
  readonly left = new Set<string>();
  /** Position of the feed up to which the list is known. */
  token: string;
  hasMore: boolean;
  readonly #manner: Manner;
  #shown: Set<string>;

  constructor({ nodes, pageInfo, feedToken }: Pick<Page, 'nodes' | 'feedToken'> & { pageInfo: { hasNextPage: boolean } }, manner: Manner = 'follow') {
    this.rows = nodes;
    this.token = feedToken;
    this.hasMore = pageInfo.hasNextPage;
    this.#manner = manner;
    this.#shown = idsOf(nodes);
  }

  /** False when the messages go on from elsewhere: read the list anew. */
  apply(messages: readonly FeedMessage[]): boolean {
    const changed = new Map<string, Row>();
    const gone = new Set<string>();
    for (const message of messages) {
      if (message.__typename === 'FeedReset') return false;
      this.token = message.token;
      if (message.__typename === 'PipelineEntered') this.#enter(message.pipeline, changed, gone);
      else if (message.__typename === 'PipelineChanged') this.#change(message.pipeline, changed);
      else if (message.__typename === 'PipelineLeft') this.#leave(message.pipelineNodeId, changed, gone);
    }
    this.#settle(changed, gone);
    return true;
  }

  /** The next older page, read after the list. A row that is known to be newer than it says stays. */
  append({ nodes, pageInfo }: Pick<Page, 'nodes'> & { pageInfo: { hasNextPage: boolean } }): void {
    this.hasMore = pageInfo.hasNextPage;
    this.#show([...this.rows, ...nodes.filter(({ id }) => !this.#shown.has(id))]);
  }

  /** Puts what is on offer in its place, and takes out what has left. */
  accept(): void {
    const entering = new Map(this.entered);
    const leaving = new Set(this.left);
    this.entered.clear();
    this.left.clear();
    this.#settle(entering, leaving);
  }

  #enter(row: Row, changed: Map<string, Row>, gone: Set<string>): void {
    gone.delete(row.id);
    this.left.delete(row.id);
    if (this.#shown.has(row.id) || changed.has(row.id)) changed.set(row.id, row);
    else if (!this.#belongs(row)) return;
    else if (this.#manner === 'offer') this.entered.set(row.id, row);
    else changed.set(row.id, row);
  }

  #change(row: Row, changed: Map<string, Row>): void {
    if (this.entered.has(row.id)) this.entered.set(row.id, row);
    else if (this.#shown.has(row.id) || changed.has(row.id)) changed.set(row.id, row);
  }

  #leave(id: string, changed: Map<string, Row>, gone: Set<string>): void {
    if (this.entered.delete(id)) return;
    if (this.#manner === 'follow') changed.delete(id);
    if (this.#shown.has(id)) (this.#manner === 'follow' ? gone : this.left).add(id);
  }

  #belongs(row: Row): boolean {
    const last = this.rows.at(-1);
    return !this.hasMore || last === undefined || isNewer(row, last);
  }

  #settle(changed: Map<string, Row>, gone: Set<string>): void {
    const kept = changed.size + gone.size === 0 ? this.rows : this.rows.flatMap((row) => (gone.has(row.id) ? [] : [latest(row, changed.get(row.id))]));
    const added = [...changed.values()].filter(({ id }) => !this.#shown.has(id));
    if (kept !== this.rows || added.length > 0) this.#show(added.length > 0 ? inserted(kept, added) : kept);
  }

  #show(rows: readonly Row[]): void {
    this.rows = rows;
    this.#shown = idsOf(rows);
  }
}

// A page that was read meanwhile knows more than a message that was on its way.
const latest = (shown: Row, told: Row | undefined): Row => (told && Date.parse(told.updatedAt) >= Date.parse(shown.updatedAt) ? told : shown);

const idsOf = (rows: readonly Row[]): Set<string> => new Set(rows.map(({ id }) => id));

// The rows stay in the order in which they came; each that is added goes before the first that is older.
function inserted(rows: readonly Row[], added: readonly Row[]): readonly Row[] {
  const all = [...rows];
  for (const row of added) {
    const place = all.findIndex((other) => isNewer(row, other));
    all.splice(place === -1 ? all.length : place, 0, row);
  }
  return all;
}
