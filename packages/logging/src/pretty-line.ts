/** A log entry as one readable line: time, level, message, fields, and the stack of an error below. */
import { stripAnsi } from './strip-ansi.ts';

/** @internal */
export function prettyLine(entry: Readonly<Record<string, unknown>>): string {
  const { time, level, msg, err, ...fields } = entry;
  const clockTime = typeof time === 'number' ? new Date(time).toISOString().slice(11, 23) : '';
  const name = (typeof level === 'number' ? LEVEL_NAMES[level] : undefined) ?? '?';
  const parts = [clockTime, name.padEnd(5), ...(typeof msg === 'string' ? [stripAnsi(msg)] : [])];
  for (const [key, value] of Object.entries(fields)) parts.push(`${key}=${formatValue(value)}`);
  return `${parts.join(' ')}${formatError(err)}\n`;
}

function formatValue(value: unknown): string {
  return typeof value === 'string' && PLAIN.test(value) ? value : JSON.stringify(value);
}

function formatError(err: unknown): string {
  if (err === undefined) return '';
  const stack = isRecord(err) ? (err['stack'] ?? err['message']) : err;
  return `\n${typeof stack === 'string' ? stripAnsi(stack) : JSON.stringify(err)}`;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null;
}

const PLAIN = /^[\w./:@+-]+$/;

const LEVEL_NAMES: Readonly<Record<number, string | undefined>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: 'warn',
  50: 'error',
  60: 'fatal',
};
