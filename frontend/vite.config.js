import { defineConfig } from 'vite';

export default defineConfig({
  base: './', // the server puts the path before it under which it is shown
  oxc: { jsx: { runtime: 'automatic' } },
  build: {
    outDir: '../gql_server/static/graphiql',
    emptyOutDir: true,
    // Monaco's editor chunk is one piece by nature; the server sends it compressed and cached for ever.
    chunkSizeWarningLimit: 5000,
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
});
