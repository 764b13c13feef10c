// Tells the reader something at the foot of the page.
import { idle } from '@gql-server/client/vue';
import type { QNotifyCreateOptions } from 'quasar';
import type { App } from 'vue';

type Board = typeof import('./noticeBoard');
let app: App;
let board: Promise<Board> | undefined;

function load(): Promise<Board> {
  board ??= import('./noticeBoard').catch((error: unknown) => {
    board = undefined;
    throw error;
  });
  return board;
}

/** Notices of the page belong to this app. What draws them is here before the first: it may say that nothing can be loaded any more. */
export function noticesOf(page: App): void {
  app = page;
  void idle().then(load).catch(() => {});
}

export function show(notice: QNotifyCreateOptions): void {
  load().then((loaded) => loaded.show(app, notice), () => window.alert(notice.message));
}
