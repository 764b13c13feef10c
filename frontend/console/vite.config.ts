import { quasar, transformAssetUrls } from '@quasar/vite-plugin';
import vue from '@vitejs/plugin-vue';
import { defaultClientConditions, defineConfig } from 'vite';

export default defineConfig({
  base: './', // the server puts the path before it under which it is shown
  plugins: [vue({ template: { transformAssetUrls } }), quasar()],
  resolve: { conditions: ['source', ...defaultClientConditions] },
  define: { __VUE_OPTIONS_API__: true, __VUE_PROD_DEVTOOLS__: false, __INTLIFY_PROD_DEVTOOLS__: false },
  build: {
    outDir: '../../gql_server/static/console',
    emptyOutDir: true,
    // Small pictures as data: addresses would need another source in the page's policy.
    assetsInlineLimit: 0,
    // One sheet: another that comes later has the browser match every element of the page anew, which takes longer than the whole table.
    cssCodeSplit: false,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
});
