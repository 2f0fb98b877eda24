/**
 * Paths as git and Linux see them: bytes, not text.
 * Invariant: inside this package a path is a `BytePath`, a string with one char code per byte (latin1), so that any name
 * survives and still works as a Map key; only records and messages hold decoded text.
 */
import { createHash } from 'node:crypto';
import type { Redactor } from './options.ts';
import type { LeftOutPath, LeftOutReason, RecordedPath } from './record.ts';

/** @internal One char code per byte; never shown to people. */
export type BytePath = string;

function bytePathToBuffer(path: BytePath): Buffer {
  return Buffer.from(path, 'latin1');
}

/** @internal */
export function textToBytePath(text: string): BytePath {
  return Buffer.from(text, 'utf8').toString('latin1');
}

/** @internal The path as text; not reversible for names that are not UTF-8. */
export function bytePathToText(path: BytePath): string {
  return bytePathToBuffer(path).toString('utf8');
}

/** @internal */
export function recordPath(path: BytePath): RecordedPath {
  const bytes = bytePathToBuffer(path);
  const text = bytes.toString('utf8');
  return Buffer.from(text, 'utf8').equals(bytes)
    ? { path: text }
    : { path: text, pathBase64: bytes.toString('base64') };
}

/** @internal */
export function leaveOut(path: BytePath, reason: LeftOutReason, bytes?: number): LeftOutPath {
  return Object.assign(recordPath(path), { reason }, bytes === undefined ? {} : { bytes });
}

/** @internal Hides secrets in the path; what it was is then known by its hash alone. */
export function redactLeftOut(left: LeftOutPath, redactor: Redactor): LeftOutPath {
  const text = redactor.redact(left.path);
  if (text === left.path) return left;
  const { pathBase64: _exact, ...rest } = left;
  return { ...rest, path: text, pathSha256: sha256(recordedToBytePath(left)) };
}

/** @internal Whether a path is among these. */
export function leftOutMatcher(leftOut: readonly LeftOutPath[]): (path: BytePath) => boolean {
  const hashes = new Set(leftOut.map(({ pathSha256 }) => pathSha256).filter((hash) => hash !== undefined));
  const paths = new Set(leftOut.filter(({ pathSha256 }) => pathSha256 === undefined).map(recordedToBytePath));
  return (path) => paths.has(path) || (hashes.size > 0 && hashes.has(sha256(path)));
}

function sha256(path: BytePath): string {
  return createHash('sha256').update(path, 'latin1').digest('hex');
}

/** @internal The reverse of {@link recordPath}. */
export function recordedToBytePath(recorded: RecordedPath): BytePath {
  return recorded.pathBase64 === undefined
    ? textToBytePath(recorded.path)
    : Buffer.from(recorded.pathBase64, 'base64').toString('latin1');
}

/** @internal The absolute path as the file system wants it: text where that says the same, else bytes. `root` is ordinary text. */
export function absolutePath(root: string, path: BytePath): string | Buffer {
  if (path === '') return root;
  return IS_ASCII.test(path) ? `${root}/${path}` : bytePathToBuffer(`${textToBytePath(root)}/${path}`);
}

/** @internal C-style quoting, understood by fast-import and in `objects/info/alternates` for any byte. */
export function quoteForGit(path: BytePath): string {
  let quoted = '"';
  for (let index = 0; index < path.length; index++) {
    const code = path.charCodeAt(index);
    if (code === 0x22 || code === 0x5c) quoted += `\\${path.charAt(index)}`;
    else if (code < 0x20 || code > 0x7e) quoted += `\\${code.toString(8).padStart(3, '0')}`;
    else quoted += path.charAt(index);
  }
  return `${quoted}"`;
}

/** @internal The directory part, '' for a path at the top. */
export function parentOf(path: BytePath): BytePath {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

/** @internal Splits NUL-terminated git output. */
export function splitNul(output: Buffer): BytePath[] {
  const text = output.toString('latin1');
  if (text === '') return [];
  return (text.endsWith('\0') ? text.slice(0, -1) : text).split('\0');
}

const IS_ASCII = /^[\0-\x7f]*$/;
