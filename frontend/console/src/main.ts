import './graph/early';
import 'quasar/dist/quasar.css';
import './style.css';

import { urqlGraph } from '@gql-server/client/urql';
import { gqlServer } from '@gql-server/client/vue';
import urql from '@urql/vue';
import { Quasar } from 'quasar';
import icons from 'quasar/icon-set/svg-material-icons.js';
import { createApp } from 'vue';

import App from './App.vue';
import { client, reading } from './graph/client';
import { link } from './graph/connection';
import { i18n, preferredLocale, quick, speak, texts } from './i18n';
import { noticesOf } from './notices';
import { router } from './router';
import { restoreTheme } from './theme';

const app = createApp(App)
  .use(Quasar, { iconSet: icons, config: { notify: { position: 'bottom', timeout: 6_000 } } })
  .use(i18n)
  .use(quick)
  .use(router)
  .use(urql, client)
  .use(gqlServer, { graph: urqlGraph(client, link, reading), texts });

restoreTheme();
noticesOf(app);
void speak(preferredLocale()).catch(() => speak('en')).then(() => app.mount('#app'));
