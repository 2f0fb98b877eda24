/** What a reload came to, for people: one sentence for the daemon's terminal, `conductor reload` and the log alike. */

/** A reload, as far as it is told. */
export interface ToldReload {
  readonly isInUse: boolean;
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
  readonly restartFor: readonly string[];
  readonly problem?: string | null | undefined;
}

/**
 * Says what changed, or why nothing did.
 *
 * @param reload - what it came to
 */
export function describeReload(reload: ToldReload): string {
  if (!reload.isInUse) return `the config in use stays: ${reload.problem ?? 'it could not be read again'}`;
  const parts = (['added', 'changed', 'removed'] as const)
    .filter((how) => reload[how].length > 0)
    .map((how) => `${how} ${reload[how].join(', ')}`);
  const what = parts.length === 0 ? 'no job differs' : parts.join('; ');
  const restart = describeRestart(reload.restartFor);
  return `the config is in use: ${what}${restart === '' ? '' : `; ${restart}`}`;
}

/**
 * Names the settings that are not in use yet.
 *
 * @param keys - of the config file
 * @returns empty for none
 */
export function describeRestart(keys: readonly string[]): string {
  return keys.length === 0 ? '' : `restart to use ${keys.join(', ')}`;
}
