/** Redacting inside JSON values. Invariant: what comes out is plain JSON, and no string in it, key or value, holds a known secret. */
import type { Redactor } from './options.ts';

/**
 * @internal
 * @throws TypeError when `value` has no JSON form
 */
export function redactJson(redactor: Redactor, value: unknown): unknown {
  const text = JSON.stringify(value);
  if (text === undefined) {
    throw new TypeError(
      `Cannot write summary: its json is a ${typeof value}, expected a value with a JSON form`,
    );
  }
  const plain: unknown = JSON.parse(text);
  return redactValue(redactor, plain);
}

function redactValue(redactor: Redactor, value: unknown): unknown {
  if (typeof value === 'string') return redactor.redact(value);
  if (Array.isArray(value)) return value.map((item: unknown) => redactValue(redactor, item));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [redactor.redact(key), redactValue(redactor, item)]),
  );
}
