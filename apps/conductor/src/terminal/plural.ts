/** Counts in words: one of a thing is not called many. */

/**
 * Writes how many there are.
 *
 * @param count - how many
 * @param one - what one of them is called
 * @param many - what several are called; `one` and an s when left out
 */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
