/** Sizes as people read them. */

/**
 * Writes a number of bytes with its unit: `512 B`, `3.4 MiB`.
 *
 * @param bytes - at least 0
 */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < UNITS.length - 1) {
    value /= 1_024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
