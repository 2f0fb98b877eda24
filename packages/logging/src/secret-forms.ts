/** The ways a secret can show up in output: as itself, encoded, or line by line. */
import { LoggingError } from './errors.ts';

/** Secrets shorter than this would redact half of every output; they are refused. */
export const MIN_SECRET_BYTES = 6;

/** @internal Byte strings that give `value` away: itself, JSON, URL and base64 forms, and its lines. */
export function secretForms(name: string, value: string): readonly Buffer[] {
  const bytes = Buffer.from(value, 'utf8');
  if (!NAME_PATTERN.test(name)) {
    throw new LoggingError(
      'secret-unusable',
      `Cannot redact secret "${name}": its name is not plain, expected 1 to 64 letters, digits, ".", "_" or "-"`,
    );
  }
  if (bytes.byteLength < MIN_SECRET_BYTES || bytes.byteLength > MAX_SECRET_BYTES) {
    throw new LoggingError(
      'secret-unusable',
      `Cannot redact secret "${name}": it has ${bytes.byteLength} bytes, expected ${MIN_SECRET_BYTES} to ${MAX_SECRET_BYTES}`,
    );
  }
  const texts = new Set<string>([value, JSON.stringify(value).slice(1, -1), ...urlForms(bytes)]);
  for (const line of value.split(/\r?\n/)) {
    if (Buffer.byteLength(line) >= MIN_SECRET_BYTES) texts.add(line);
  }
  const forms = [...texts, ...base64Forms(bytes)].map((text) => Buffer.from(text, 'utf8'));
  const usable = forms.filter((form) => form.byteLength >= MIN_SECRET_BYTES);
  return [...new Map(usable.map((form) => [form.toString('latin1'), form])).values()];
}

/** Percent-encodings as encodeURIComponent, a form post and stricter encoders write them, in both cases of hex. */
function urlForms(bytes: Buffer): readonly string[] {
  return [URL_COMPONENT_SAFE, URL_STRICT_SAFE, FORM_SAFE].flatMap((safe) => {
    const encode = (hexOf: (byte: number) => string): string =>
      Array.from(bytes, (byte) => {
        const character = String.fromCharCode(byte);
        if (safe === FORM_SAFE && character === ' ') return '+';
        return safe.test(character) ? character : `%${hexOf(byte)}`;
      }).join('');
    const lower = (byte: number): string => byte.toString(16).padStart(2, '0');
    return [encode((byte) => lower(byte).toUpperCase()), encode(lower)];
  });
}

/**
 * base64 and base64url, alone and inside a longer encoded text: at each of the three alignments the characters that
 * depend on the secret alone.
 */
function base64Forms(bytes: Buffer): readonly string[] {
  const forms: string[] = [];
  for (const encoding of ['base64', 'base64url'] as const) {
    forms.push(bytes.toString(encoding), bytes.toString('base64url'));
    for (const [before, skip] of [
      [0, 0],
      [1, 2],
      [2, 3],
    ] as const) {
      const shifted = Buffer.concat([Buffer.alloc(before), bytes]);
      const wholeCharacters = Math.floor((shifted.byteLength * 8) / 6);
      forms.push(shifted.toString(encoding).slice(skip, wholeCharacters));
    }
  }
  return forms;
}

const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;
/** Its longest form, six bytes a character in JSON, still fits into one step over a spool with room to spare. */
const MAX_SECRET_BYTES = 16 * 1024;
const URL_COMPONENT_SAFE = /[A-Za-z0-9\-_.!~*'()]/;
const URL_STRICT_SAFE = /[A-Za-z0-9\-_.~]/;
const FORM_SAFE = /[A-Za-z0-9\-_.*]/;
