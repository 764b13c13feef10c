// The settings of a year as a form has them, and what of them was changed.
type Loose = Record<string, any>;
export interface EntryTypeDraft { key: string; enabled: boolean; threshold: number | null }
export interface ModuleDraft { key: string; enabled: boolean; uncertainty: string; entryTypes: EntryTypeDraft[] }
export interface Goal { target_year: number | null; reduction_percentage: number | null; reference_year: number | null }
export interface Draft { modules: ModuleDraft[]; goals: Goal[] }
export interface Change { path: string[]; from: unknown; to: unknown }
export interface Numbered { key: string; typeId: number; entryTypes: { key: string; typeId: number }[] }

export const UNCERTAINTIES = ['none', 'low', 'medium', 'high'] as const;
export const WITHOUT_THRESHOLD = 'headcount';
const GOALS = ['reduction_objectives', 'goals'];

// Kept by number, told by key.
export function draftOf(config: Loose, modules: readonly Numbered[]): Draft {
  return {
    modules: modules.map(({ key, typeId, entryTypes }) => {
      const { enabled, uncertainty_tag: uncertainty, submodules } = (config['modules']?.[typeId] ?? {}) as Loose;
      return {
        key,
        enabled: enabled !== false,
        uncertainty: (uncertainty as string | undefined) ?? 'medium',
        entryTypes: entryTypes.map((one) => ({ key: one.key, enabled: submodules?.[one.typeId]?.enabled !== false, threshold: (submodules?.[one.typeId]?.threshold as number | null | undefined) ?? null })),
      };
    }),
    goals: ((config['reduction_objectives']?.goals ?? []) as Goal[]).map(({ target_year, reduction_percentage, reference_year }) => ({ target_year, reduction_percentage, reference_year: reference_year ?? null })),
  };
}

function values({ modules, goals }: Draft): [string[], unknown][] {
  const ofModules = modules.flatMap(({ key, enabled, uncertainty, entryTypes }): [string[], unknown][] => [
    [['modules', key, 'enabled'], enabled],
    [['modules', key, 'uncertainty_tag'], uncertainty],
    ...entryTypes.flatMap((one): [string[], unknown][] => [
      [['modules', key, 'submodules', one.key, 'enabled'], one.enabled],
      [['modules', key, 'submodules', one.key, 'threshold'], one.threshold],
    ]),
  ]);
  return [...ofModules, [GOALS, goals]];
}

export function changesBetween(before: Draft, after: Draft): Change[] {
  const known = new Map(values(before).map(([path, value]) => [path.join('/'), value]));
  return values(after)
    .map(([path, to]) => ({ path, from: known.get(path.join('/')), to }))
    .filter(({ from, to }) => JSON.stringify(from) !== JSON.stringify(to));
}

export function patchOf(changes: readonly Change[]): Loose {
  const patch: Loose = {};
  for (const { path, to } of changes) {
    const [last, ...rest] = [...path].reverse() as [string, ...string[]];
    const place = rest.reverse().reduce((inner: Loose, name) => (inner[name] ??= {}), patch);
    place[last] = to;
  }
  return patch;
}

export const reversed = (changes: readonly Change[]): Change[] => changes.map(({ path, from, to }) => ({ path, from: to, to: from }));
export const copyOf = (draft: Draft): Draft => JSON.parse(JSON.stringify(draft)) as Draft;
