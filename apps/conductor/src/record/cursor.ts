/** Cursors that are numbers: where the next page of a numbered list begins. */
import { ConductorError } from '../errors.ts';

/**
 * Reads the cursor of a numbered list: the last number of the page before.
 *
 * @param cursor - as a former page gave it
 * @throws ConductorError with code `usage`
 */
export function parseCursor(cursor: string): number {
  const after = Number(cursor);
  if (/^\d{1,15}$/.test(cursor) && Number.isSafeInteger(after)) return after;
  throw new ConductorError('usage', `Cannot go on at cursor "${cursor}": expected one that a page gave`);
}
