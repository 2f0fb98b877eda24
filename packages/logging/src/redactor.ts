/**
 * Takes known secrets and token-shaped strings out of bytes and text.
 * Invariant: the result does not depend on how the input was cut into chunks.
 */
import { createSearch, shapeBody, type Needle, type Scan, type Search } from './redaction-search.ts';
import { secretForms } from './secret-forms.ts';
import { DEFAULT_TOKEN_SHAPES, type TokenShape } from './token-shapes.ts';

/** What to take out. */
export interface RedactorOptions {
  /**
   * Exact values by name. Each is found as itself, JSON-escaped, URL-encoded, base64-encoded (alone and inside longer
   * encoded text), and line by line.
   *
   * @defaultValue none
   */
  readonly secrets?: Readonly<Record<string, string>>;
  /**
   * Shapes of tokens whose value is not known.
   *
   * @defaultValue DEFAULT_TOKEN_SHAPES
   */
  readonly patterns?: readonly TokenShape[];
}

/** Takes secrets out. Holds no state between calls; may be shared. */
export interface Redactor {
  /** The names that can appear in a replacement, without repeats. Never the values. */
  readonly names: readonly string[];
  /** The text with every secret replaced by `[redacted:NAME]`. */
  redact(text: string): string;
  /** Every string inside a JSON-like value redacted, keys left alone. */
  redactValue<T>(value: T): T;
  /** The names of what occurs in `bytes`, in order of appearance, without repeats; empty when clean. */
  find(bytes: Uint8Array): readonly string[];
  /** Whether anything occurs in `bytes`; stops at the first. */
  contains(bytes: Uint8Array): boolean;
  /** A redactor for one stream, which may be cut anywhere. */
  stream(): RedactionStream;
  /**
   * One step over bytes whose start is the start of a stream, or where an earlier step stopped.
   *
   * @param bytes - must not change before the output has been used: the output may share its memory
   * @param isFinal - whether the stream ends here, so that nothing is held back
   * @param scratch - where the output may be put, to be used before the next step with the same one; a gigabyte of
   * output would leave as much behind for the garbage collector otherwise
   */
  step(bytes: Uint8Array, isFinal: boolean, scratch?: RedactionScratch): RedactionStep;
}

/** Memory for the output of steps; grows to what one step needs. */
export interface RedactionScratch {
  /** Of any size, also empty. */
  buffer: Buffer;
}

/** What one step over a stream gave. */
export interface RedactionStep {
  /** Clean bytes. */
  readonly output: Uint8Array;
  /** How many input bytes are done with; the rest may be the start of a secret and has to be given again, with more behind it. */
  readonly consumed: number;
}

/** Redacts one stream. Holds back only bytes that may be the start of a secret. */
export interface RedactionStream {
  /** Takes a chunk and returns clean bytes; may be fewer, or more, than went in. */
  push(chunk: Uint8Array): Uint8Array;
  /** Returns what was held back. Call once, at the end of the stream. */
  end(): Uint8Array;
  /** How many bytes are held back now. */
  heldBytes(): number;
}

/**
 * Prepares a redactor.
 *
 * @param options - secrets and shapes
 * @throws {@link LoggingError} with code `secret-unusable` for a secret shorter than 6 bytes or longer than 16 KiB, or a
 * name that is not plain; RangeError for a shape whose prefix is shorter than 3 bytes
 */
export function createRedactor(options: RedactorOptions = {}): Redactor {
  const needles = createNeedles(options);
  const search = createSearch(needles);
  const step: Redactor['step'] = (bytes, isFinal, scratch) =>
    redactStep(search.scan(bytes, isFinal), bytes, scratch);
  const redact = (text: string): string => {
    const bytes = Buffer.from(text, 'utf8');
    const { output } = step(bytes, true);
    return output === bytes ? text : Buffer.from(output).toString('utf8');
  };
  return {
    names: [...new Set(needles.map((needle) => needle.name))],
    redact,
    redactValue: (value) => redactDeeply(value, redact),
    find: (bytes) => [...new Set(matchesIn(search, bytes))],
    contains: (bytes) => matchesIn(search, bytes).next().done !== true,
    stream: () => createStream(step),
    step,
  };
}

function createNeedles({ secrets = {}, patterns = DEFAULT_TOKEN_SHAPES }: RedactorOptions): Needle[] {
  const needles: Needle[] = [];
  for (const [name, value] of Object.entries(secrets)) {
    for (const anchor of secretForms(name, value)) needles.push({ name, anchor });
  }
  for (const shape of patterns) {
    for (const prefix of shape.prefixes) {
      const anchor = Buffer.from(prefix, 'utf8');
      if (anchor.byteLength < MIN_PREFIX_BYTES) {
        throw new RangeError(
          `Cannot redact shape "${shape.name}" by prefix "${prefix}": expected at least ${MIN_PREFIX_BYTES} bytes`,
        );
      }
      needles.push({ name: shape.name, anchor, shape: shapeBody(shape) });
    }
  }
  return needles;
}

function redactStep(scan: Scan, bytes: Uint8Array, scratch: RedactionScratch | undefined): RedactionStep {
  const parts: Uint8Array[] = [];
  let copiedTo = 0;
  let at = scan.nextCandidate(0);
  while (at < bytes.length) {
    const result = matchSpan(scan, at);
    if (result?.kind === 'more') break;
    if (result === undefined) {
      at = scan.nextCandidate(at + 1);
      continue;
    }
    parts.push(bytes.subarray(copiedTo, at), Buffer.from(`[redacted:${result.name}]`));
    copiedTo = result.end;
    at = result.next;
  }
  if (parts.length === 0) {
    return { output: at === bytes.length ? bytes : bytes.subarray(0, at), consumed: at };
  }
  parts.push(bytes.subarray(copiedTo, at));
  return { output: join(parts, scratch), consumed: at };
}

function join(parts: readonly Uint8Array[], scratch: RedactionScratch | undefined): Uint8Array {
  if (scratch === undefined) return Buffer.concat(parts);
  const byteLength = parts.reduce((sum, part) => sum + part.byteLength, 0);
  if (scratch.buffer.byteLength < byteLength) scratch.buffer = Buffer.allocUnsafe(byteLength);
  let at = 0;
  for (const part of parts) {
    scratch.buffer.set(part, at);
    at += part.byteLength;
  }
  return scratch.buffer.subarray(0, byteLength);
}

type SpanResult =
  | { readonly kind: 'match'; readonly end: number; readonly name: string; readonly next: number }
  | { readonly kind: 'more' };

/**
 * A match together with every match that overlaps its end, so that no part of the second one is left standing, and the
 * first candidate after them: what has been skipped once is not looked at again.
 */
function matchSpan(scan: Scan, at: number): SpanResult | undefined {
  const first = scan.matchAt(at);
  if (first?.kind !== 'match') return first;
  let end = first.end;
  // A stream of nothing but overlapping secrets is cut here, so that memory stays bounded.
  const limit = first.end + MAX_OVERLAP_BYTES;
  let next = scan.nextCandidate(at + 1);
  while (next < end && end < limit) {
    const result = scan.matchAt(next);
    if (result?.kind === 'more') return result;
    if (result !== undefined && result.end > end) end = result.end;
    next = scan.nextCandidate(next + 1);
  }
  return { kind: 'match', end, name: first.name, next: next < end ? scan.nextCandidate(end) : next };
}

function* matchesIn(search: Search, bytes: Uint8Array): Generator<string, void, undefined> {
  const scan = search.scan(bytes, true);
  let at = scan.nextCandidate(0);
  while (at < bytes.length) {
    const result = scan.matchAt(at);
    if (result?.kind === 'match') yield result.name;
    at = scan.nextCandidate(at + 1);
  }
}

function createStream(step: Redactor['step']): RedactionStream {
  let held: Uint8Array = Buffer.alloc(0);
  const take = (chunk: Uint8Array, isFinal: boolean): Uint8Array => {
    const bytes = held.byteLength === 0 ? chunk : Buffer.concat([held, chunk]);
    const { output, consumed } = step(bytes, isFinal);
    held = consumed === bytes.byteLength ? Buffer.alloc(0) : Buffer.from(bytes.subarray(consumed));
    return output;
  };
  return {
    push: (chunk) => take(chunk, false),
    end: () => take(Buffer.alloc(0), true),
    heldBytes: () => held.byteLength,
  };
}

function redactDeeply<T>(value: T, redact: (text: string) => string): T {
  if (typeof value === 'string') return redact(value) as T & string;
  if (Array.isArray(value)) return value.map((item: unknown) => redactDeeply(item, redact)) as T & unknown[];
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, redactDeeply<unknown>(item, redact)]);
  return Object.fromEntries(entries) as T & object;
}

const MIN_PREFIX_BYTES = 3;
const MAX_OVERLAP_BYTES = 16 * 1024;
