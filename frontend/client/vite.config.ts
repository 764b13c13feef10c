import vue from '@vitejs/plugin-vue';
import { defineConfig } from 'vite';

const entries = { index: 'src/index.ts', cache: 'src/cache/index.ts', urql: 'src/urql.ts', vue: 'src/vue/index.ts' };

export default defineConfig({
  plugins: [vue()],
  build: {
    minify: false,
    lib: { entry: entries, formats: ['es'], cssFileName: 'style' },
    rolldownOptions: { external: /^(vue|graphql|graphql-ws|@0no-co\/graphql.web|@urql\/core|@vue-flow\/core|@dagrejs\/dagre|@tanstack\/vue-virtual)$/ },
  },
});
