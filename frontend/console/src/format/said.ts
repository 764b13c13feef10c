// Translates texts that are made of known sentences, in which `{}` stands for a name, a number, or at the end for what a job said.
interface Sentence { pattern: RegExp; text: string; literal: number }

const escaped = (text: string): string => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');

function sentenceOf([english, text]: [string, string]): Sentence {
  const parts = english.split('{}');
  const holes = parts.slice(1).map((after, index) => (index === parts.length - 2 && after === '' ? '([^]+)' : '([^]+?)') + escaped(after));
  return { pattern: new RegExp(`^${escaped(parts[0]!)}${holes.join('')}(?=\\s|$)`), text, literal: parts.join('').length };
}

export function translator(sentences: Record<string, string>): (text: string) => string {
  const known = Object.entries(sentences).map(sentenceOf).sort((one, other) => other.literal - one.literal);
  const longest = Math.max(1, ...Object.keys(sentences).map((english) => english.split(', ').length));
  const found = new Map<string, string>();

  // From the start of the text: the sentence with the most words of its own that fits there.
  function first(text: string): { end: number; text: string } | undefined {
    for (const { pattern, text: translated } of known) {
      const match = pattern.exec(text);
      if (!match) continue;
      const values = match.slice(1).map((value) => whole(value));
      let index = 0;
      return { end: match[0].length, text: translated.replace(/\{\}/g, () => values[index++] ?? '') };
    }
    return undefined;
  }

  const isKnown = (value: string): boolean => known.some(({ pattern, literal }) => literal > 2 && pattern.exec(value)?.[0] === value);

  // A value is translated when it is a known phrase by itself, or several with commas between them: from the left the longest that fits.
  function whole(value: string): string {
    if (isKnown(value)) return first(value)!.text;
    const parts = value.split(', ');
    const said: string[] = [];
    while (parts.length > 0) {
      let size = Math.min(longest, parts.length);
      while (size > 1 && !isKnown(parts.slice(0, size).join(', '))) size -= 1;
      const run = parts.splice(0, size).join(', ');
      said.push(isKnown(run) ? first(run)!.text : run);
    }
    return said.join(', ');
  }

  function translate(text: string): string {
    const more = /^([^]+) \(and (\d+) more of this\)$/.exec(text);
    const alike = more && (sentences[`{} (and ${more[2]} more of this)`] ?? sentences['{} (and {} more of this)'] ?? '');
    if (more && alike) return alike.replace('{}', translate(more[1]!)).replace('{}', more[2]!);
    const here = first(text);
    if (here) return here.end < text.length ? `${here.text} ${translate(text.slice(here.end).trimStart())}` : here.text;
    const end = text.search(/[.!?]\s/);
    return end === -1 ? text : `${text.slice(0, end + 1)} ${translate(text.slice(end + 1).trimStart())}`;
  }

  return (text) => {
    if (!found.has(text)) found.set(text, translate(text));
    return found.get(text)!;
  };
}
