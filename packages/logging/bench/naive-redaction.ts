/** What most tools do: one regular expression over each chunk as it comes. Misses whatever a chunk border cuts. */
import type { TokenShape } from '../src/index.ts';

export function naivePattern(
  secrets: Readonly<Record<string, string>>,
  shapes: readonly TokenShape[],
): RegExp {
  const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  const values = Object.values(secrets).flatMap((value) => [
    value,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64').replaceAll('=', ''),
    Buffer.from(`a${value}`).toString('base64').slice(2, -4),
    Buffer.from(`ab${value}`).toString('base64').slice(3, -4),
  ]);
  const tokens = shapes.flatMap(({ prefixes, characters, minLength }) =>
    prefixes.map((prefix) => `${escape(prefix)}[${characters}]{${minLength},}`),
  );
  return new RegExp([...new Set(values.map(escape)), ...tokens].join('|'), 'g');
}
