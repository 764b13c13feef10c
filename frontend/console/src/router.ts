import { createRouter, createWebHistory, START_LOCATION, type LocationQuery } from 'vue-router';

import PipelinesPage from './pages/PipelinesPage.vue';
import { base } from './session';

declare module 'vue-router' {
  interface RouteMeta { title: string }
}

// The server answers these paths with the page: gql_server/http/console.py.
export const router = createRouter({
  history: createWebHistory(`${base}/`),
  scrollBehavior: (to, from, saved) => saved ?? (to.path === from.path || from === START_LOCATION ? false : { top: 0 }),
  routes: [
    { path: '/', redirect: (to) => ({ path: '/pipelines', query: to.query }) },
    { path: '/pipelines', component: PipelinesPage, meta: { title: 'pipeops_nav_pipelines' } },
    { path: '/pipelines/:id', component: () => import('./pages/PipelinePage.vue'), props: true, meta: { title: 'pipeops_col_pipeline' } },
    { path: '/failures', component: () => import('./pages/FailuresPage.vue'), meta: { title: 'pipeops_nav_failures' } },
    { path: '/years', component: () => import('./pages/YearsPage.vue'), meta: { title: 'pipeops_nav_years' } },
    { path: '/years/:year(\\d{4})', component: () => import('./pages/YearPage.vue'), props: true, meta: { title: 'pipeops_nav_years' } },
    { path: '/fleet', component: () => import('./pages/FleetPage.vue'), meta: { title: 'pipeops_nav_fleet' } },
  ],
});

// The language stays in the address on the way from page to page.
router.beforeEach((to, from) => {
  const { lang } = from.query;
  if (lang && !('lang' in to.query)) return { ...to, query: { ...to.query, lang } };
  return true;
});

export const one = (query: LocationQuery, name: string): string | undefined => {
  const value = query[name];
  return (Array.isArray(value) ? value[0] : value) ?? undefined;
};
