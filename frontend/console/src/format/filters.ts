// The filter of a list as the address has it, and back: a link opens what its sender saw.
import type { PipelineFilter } from '@gql-server/client';
import type { Window } from '@gql-server/client/vue';
import type { LocationQuery, LocationQueryRaw } from 'vue-router';

type Loose = Record<string, unknown>;
interface Clause { param: string; read(filter: Loose): string[] | undefined; write(values: string[]): Loose }

const texts = (value: unknown): string[] | undefined => (Array.isArray(value) ? value.map(String) : value == null ? undefined : [String(value)]);
const list = (param: string, field: string): Clause => ({ param, read: (filter) => texts(filter[field]), write: (values) => ({ [field]: values }) });
const text = (param: string, field: string): Clause => ({ param, read: (filter) => texts(filter[field]), write: ([value]) => ({ [field]: value }) });
const flag = (param: string, field: string): Clause => ({ param, read: (filter) => texts(filter[field]), write: ([value]) => ({ [field]: value === 'true' }) });
const numbers = (param: string, field: string): Clause => ({ ...list(param, field), write: (values) => ({ [field]: values.map(Number).filter(Number.isInteger) }) });
const limit = (param: string, key: 'min' | 'max'): Clause => ({
  param,
  read: (filter) => texts((filter['durationSeconds'] as Loose | null | undefined)?.[key]),
  write: ([value]) => (Number.isFinite(Number(value)) ? { durationSeconds: { [key]: Number(value) } } : {}),
});
const nested = (param: string, field: string, key: string): Clause => ({
  param,
  read: (filter) => texts((filter[field] as Loose | null | undefined)?.[key]),
  write: (values) => ({ [field]: { [key]: key === 'in' || key === 'notIn' ? values : values[0] } }),
});

export const CLAUSES: Clause[] = [
  nested('status', 'status', 'in'), nested('notStatus', 'status', 'notIn'), list('tone', 'tone'),
  nested('kind', 'kind', 'in'), nested('notKind', 'kind', 'notIn'),
  numbers('year', 'years'), list('module', 'modules'), numbers('moduleId', 'moduleTypeIds'), list('entryType', 'dataEntryTypes'), numbers('entryTypeId', 'dataEntryTypeIds'),
  list('level', 'level'), text('unit', 'unitInstitutionalId'), text('q', 'search'), list('class', 'failureClass'), text('group', 'failureGroup'),
  flag('errors', 'hasErrors'), flag('orphan', 'isOrphan'), flag('active', 'isActive'), flag('aborted', 'isAborted'),
  flag('stuck', 'isStuck'), flag('unresolved', 'unresolved'), flag('mine', 'triggeredByMe'), list('who', 'triggeredBy'), text('worker', 'workerId'), list('id', 'ids'),
  nested('since', 'startedAt', 'from'), nested('until', 'startedAt', 'to'), nested('createdSince', 'createdAt', 'from'), nested('createdUntil', 'createdAt', 'to'),
  nested('endedSince', 'finishedAt', 'from'), nested('endedUntil', 'finishedAt', 'to'), limit('longer', 'min'), limit('shorter', 'max'),
];
export const FLAGS = ['errors', 'unresolved', 'active', 'stuck', 'aborted', 'orphan', 'mine'] as const;

export function filterOf(query: LocationQuery): PipelineFilter {
  const filter: Loose = {};
  for (const { param, write } of CLAUSES) {
    const values = valuesOf(query, param);
    if (values.length === 0) continue;
    for (const [field, value] of Object.entries(write(values))) {
      const before = filter[field];
      filter[field] = isObject(before) && isObject(value) ? { ...before, ...value } : value;
    }
  }
  return filter as PipelineFilter;
}

export function queryOf(filter: PipelineFilter): LocationQueryRaw {
  return Object.fromEntries(CLAUSES.flatMap(({ param, read }) => {
    const values = read(filter as Loose);
    return values === undefined ? [] : [[param, values.join(',')]];
  }));
}

/** Where the page of a list begins: with the newest unless the address says. */
export function placeOf(query: LocationQuery): Window {
  const [[after], [before]] = [valuesOf(query, 'after'), valuesOf(query, 'before')];
  return before ? { before } : after ? { after } : {};
}

// A value of a facet says what to merge; null clears a clause.
export function merged(filter: PipelineFilter, change: unknown): PipelineFilter {
  return Object.fromEntries(Object.entries({ ...filter, ...(change as PipelineFilter) }).filter(([, value]) => value != null));
}

export function valuesOf(query: LocationQuery, param: string): string[] {
  const value = query[param];
  const one = Array.isArray(value) ? value.join(',') : value;
  if (!one) return [];
  return param === 'q' || param === 'unit' ? [one] : one.split(',').filter(Boolean);
}

const isObject = (value: unknown): value is Loose => typeof value === 'object' && value !== null && !Array.isArray(value);
