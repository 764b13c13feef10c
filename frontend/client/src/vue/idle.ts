const AT_MOST = 2_000;
const SOON = 100;

/** Resolves when the page has nothing else to do, or after a while. */
export function idle(): Promise<void> {
  return new Promise((resolve) => {
    if ('requestIdleCallback' in globalThis) requestIdleCallback(() => resolve(), { timeout: AT_MOST });
    else setTimeout(resolve, SOON);
  });
}
