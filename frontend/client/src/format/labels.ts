// Names of the graph's values in the reader's language; what has none is shown as it is.
import type { JobKind, ScopeLevel, ScopePartsFragment } from '../generated/operations.ts';
import { useTexts } from '../vue/texts.ts';

const LEVELS: Partial<Record<ScopeLevel, string>> = {
  MODULE_PER_YEAR: 'pipeops_type_per_year',
  MODULE_UNIT_SPECIFIC: 'pipeops_type_unit_specific',
  GLOBAL_PER_YEAR: 'pipeops_type_global',
};

export function useLabels() {
  const { t, te } = useTexts();
  const named = (key: string, value: string): string => (te(key) ? t(key) : value.replaceAll('_', ' '));
  const moduleName = (key: string): string => named(`pipeops_module_${key}`, key);
  const entryType = (key: string): string => named(`pipeops_entry_${key}`, key);
  return {
    moduleName,
    entryType,
    kind: (kind: JobKind, raw?: string | null): string => (kind === 'OTHER' && raw ? raw : named(`pipeops_kind_${kind}`, kind)),
    failure: (name: string): string => named(`pipeops_class_${name}`, name),
    level: (level: string): string => named(LEVELS[level as ScopeLevel] ?? '', level),
    about: ({ module, dataEntryType, year }: ScopePartsFragment): string => {
      const what = [module && moduleName(module.key), dataEntryType && dataEntryType.key !== module?.key && entryType(dataEntryType.key)];
      return [what.filter(Boolean).join(' · '), year].filter(Boolean).join(' ') || '—';
    },
  };
}
