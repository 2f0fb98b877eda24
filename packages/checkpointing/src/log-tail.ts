/** The last lines of a log, capped in lines and bytes. Invariant: redaction comes before cutting, so no secret is cut into shape. */
import { requireCount, type Redactor } from './options.ts';
import type { LogTailSource } from './record.ts';

/** What of a log to keep. Exactly one of `text` and `lines` is given. */
export interface LogTailOptions {
  /** Which log. */
  readonly source: LogTailSource;
  /** The end of the log as text; LF, CRLF or CR end a line. */
  readonly text?: string;
  /** The end of the log as lines without line ends. */
  readonly lines?: readonly string[];
  /**
   * True when the log has more than was handed over.
   *
   * @defaultValue false
   */
  readonly truncated?: boolean;
  /**
   * The most lines kept.
   *
   * @defaultValue 20
   */
  readonly maxLines?: number;
  /**
   * The most bytes kept, as UTF-8; older lines go first, then the start of the oldest.
   *
   * @defaultValue 65536
   */
  readonly maxBytes?: number;
}

/**
 * @internal
 * @throws TypeError unless exactly one of `text` and `lines` is given
 */
export function tailLines(
  options: LogTailOptions,
  redactor: Redactor,
): { readonly lines: readonly string[]; readonly truncated: boolean } {
  if ((options.text === undefined) === (options.lines === undefined)) {
    throw new TypeError('Cannot write log tail: expected exactly one of "text" and "lines"');
  }
  const maxLines = requireCount('maxLines', options.maxLines ?? 20, 1);
  const maxBytes = requireCount('maxBytes', options.maxBytes ?? 64 * 1024, 1);
  const text = redactor.redact(options.text ?? (options.lines ?? []).join('\n'));
  const all = text.split(/\r\n|\n|\r/);
  // A line end closes a line; it does not open an empty one.
  if (all.at(-1) === '' && options.lines === undefined) all.pop();
  if (options.lines?.length === 0) all.pop();

  const lines = all.slice(-maxLines);
  let truncated = (options.truncated ?? false) || lines.length < all.length;
  let bytes = 0;
  for (let index = lines.length - 1; index >= 0; index--) {
    const line = lines[index] ?? '';
    const size = Buffer.byteLength(line) + 1;
    if (bytes + size > maxBytes) {
      truncated = true;
      const rest = endOf(line, maxBytes - bytes - 1);
      lines.splice(0, rest === '' ? index + 1 : index);
      if (rest !== '') lines[0] = rest;
      break;
    }
    bytes += size;
  }
  return { lines, truncated };
}

/** The last characters of `line` that fit into `maxBytes` of UTF-8. */
function endOf(line: string, maxBytes: number): string {
  if (maxBytes <= 0) return '';
  const bytes = Buffer.from(line, 'utf8').subarray(-maxBytes);
  let start = 0;
  // A continuation byte at the front belongs to a character that was cut.
  while (start < bytes.length && ((bytes[start] ?? 0) & 0xc0) === 0x80) start++;
  return bytes.subarray(start).toString('utf8');
}
