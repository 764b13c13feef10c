/** A format is dear to make: there is one for each language. */
export function once<Format>(make: (locale: string) => Format): (locale: string) => Format {
  const made = new Map<string, Format>();
  return (locale) => made.get(locale) ?? made.set(locale, make(locale)).get(locale)!;
}
