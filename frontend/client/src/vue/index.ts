import '../style.css';

import { defineAsyncComponent } from 'vue';

export { useLabels } from '../format/labels.ts';
export { messageOf, saidOf } from '../format/message.ts';
export { number } from '../format/number.ts';
export { tierOf, tierOfJob, tierOfTone, type Tier } from '../format/tiers.ts';
export { clock, duration, elapsed, exact, relative, useNow } from '../format/time.ts';
export { default as AppIcon } from './AppIcon.vue';
export { gqlServer, reactiveState, stable, useConnection, useGraph, whenLiveAgain } from './graph.ts';
export { idle } from './idle.ts';
export { usePipeline } from './pipeline.ts';
export { default as PipelineMessage } from './PipelineMessage.vue';
export { usePipelines, type PipelinesOptions, type Window } from './pipelines.ts';
export { default as PipelineTable } from './PipelineTable.vue';
export { createTexts, useTexts, written, type Texts } from './texts.ts';
export { default as TierBadge } from './TierBadge.vue';
export { default as TimeAgo } from './TimeAgo.vue';
export { default as TimeSpan } from './TimeSpan.vue';

/** The jobs of a pipeline as a graph; with what draws it, it comes when it is shown first. */
export const PipelineGraph = defineAsyncComponent(() => import('./PipelineGraph.vue'));
