const drawn = new Map<string, string>();

/** What is drawn of an icon of Quasar's sets: parts between `&&`, each with its style behind `@@`, as one path. */
export function pathOf(icon: string): string {
  let path = drawn.get(icon);
  if (path === undefined) {
    const parts = icon.split('|')[0]!.split('&&').map((part) => part.split('@@'));
    path = parts.filter(([, style]) => !style?.includes('fill:none')).map(([line]) => line).join('');
    drawn.set(icon, path);
  }
  return path;
}
