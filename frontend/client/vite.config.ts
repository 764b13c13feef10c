import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

const entries = { index: 'src/index.ts', cache: 'src/cache/index.ts', urql: 'src/urql.ts', vue: 'src/vue/index.ts' };

export default defineConfig({
  plugins: [vue()],
  build: {
    // As in the console: older browsers know no `light-dark()`.
    cssTarget: ['chrome123', 'firefox120', 'safari17.5'],
    minify: false,
    lib: { entry: entries, formats: ['es'], cssFileName: 'style' },
    rolldownOptions: { external: /^(vue|graphql|graphql-ws|@urql\/core|@vue-flow\/core|@dagrejs\/dagre)$/ },
  },
});
