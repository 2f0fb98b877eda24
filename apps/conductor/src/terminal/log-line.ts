/** A line of the daemon's log, JSON as it is written, made readable. */
import { z } from 'zod';

import { type Paint, stripControl, type Tone } from './style.ts';

/**
 * Formats a line.
 *
 * @param line - one line of the log, without its newline
 * @param leastLevel - pino's number; lines below it are left out
 * @param paint - for level and fields
 * @returns the text, ended by a newline; `undefined` when the line is left out. A torn line is shown as it is.
 */
export function formatLogLine(line: string, leastLevel: number, paint: Paint): string | undefined {
  const parsed = entry.safeParse(tryJson(line));
  if (!parsed.success) return `${stripControl(line)}\n`;
  const { level, time, msg, err, node: _node, ...fields } = parsed.data;
  if (level < leastLevel) return undefined;
  const [name, tone] = LEVELS[level] ?? [String(level), 'dim'];
  const shown = Object.entries(fields).map(([key, value]) => `${key}=${show(value)}`);
  const trouble = err === undefined ? '' : `\n    ${stripControl(err.message ?? JSON.stringify(err))}`;
  return `${paint('dim', new Date(time).toISOString())} ${paint(tone, name.padEnd(5))} ${stripControl(msg)} ${paint('dim', shown.join(' '))}`
    .trimEnd()
    .concat(trouble, '\n');
}

function show(value: unknown): string {
  return stripControl(typeof value === 'string' ? value : JSON.stringify(value));
}

function tryJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // Torn by a crash, or not a log line at all: it is shown as it is.
    return undefined;
  }
}

const entry = z.looseObject({
  level: z.number(),
  time: z.number(),
  msg: z.string().default(''),
  err: z.looseObject({ message: z.string().optional() }).optional(),
  node: z.unknown(),
});

const LEVELS: Readonly<Record<number, readonly [string, Tone]>> = {
  20: ['debug', 'dim'],
  30: ['info', 'good'],
  40: ['warn', 'warn'],
  50: ['error', 'bad'],
};
