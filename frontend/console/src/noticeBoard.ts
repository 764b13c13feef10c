// What draws notices at the foot of the page: dear to make, so it is made for the first.
import { Notify, type QNotifyCreateOptions } from 'quasar';
import type { App } from 'vue';

type Plugin = typeof Notify & { install(into: { $q: unknown; parentApp: App }): void };
const plugin = Notify as Plugin;
let isInstalled = false;

export function show(app: App, notice: QNotifyCreateOptions): void {
  if (!isInstalled) plugin.install({ $q: app.config.globalProperties['$q'], parentApp: app });
  isInstalled = true;
  plugin.create(notice);
}
