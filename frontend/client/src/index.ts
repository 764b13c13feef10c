export { createGraph, GraphError, type Answer, type Graph, type GraphErrorEntry, type GraphOptions, type Sink } from './graph.ts';
export { Connection, type ConnectionOptions, type Credentials, type LiveState } from './live/connection.ts';
export { count, type Counts } from './live/counts.ts';
export { follow, pageVariables, type Following, type FollowOptions } from './live/follow.ts';
export { LiveList, type FeedMessage, type Manner, type Page, type Row } from './live/list.ts';
export { resumable } from './live/resume.ts';
export * from './generated/operations.ts';
