/** The client's timer. The real clock is Node's own; this one runs in browsers, too. */

/**
 * Waits.
 *
 * @param delayMs - how long, milliseconds
 * @param signal - ends the waiting by throwing its reason
 */
export function delay(delayMs: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', finish);
      if (signal?.aborted === true) reject(signal.reason as Error);
      else resolve();
    };
    const timer = setTimeout(finish, delayMs);
    signal?.addEventListener('abort', finish);
    if (signal?.aborted === true) finish();
  });
}
