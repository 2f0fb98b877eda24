/**
 * What text may do to a terminal: colours, by meaning, and nothing else.
 * Invariants: text without colour says the same; what others wrote moves no cursor, sets no title, answers no question.
 */
import { styleText } from 'node:util';

import type { CliIo } from '../io.ts';

/** What a piece of text means; each has one colour everywhere. */
export type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'dim' | 'strong';

/** Paints text in a tone, or leaves it as it is when colours are not wanted. */
export type Paint = (tone: Tone, text: string) => string;

/** Makes the painter of an invocation. */
export function createPaint(io: Pick<CliIo, 'hasColor'>): Paint {
  if (!io.hasColor) return (_tone, text) => text;
  return (tone, text) => styleText(FORMATS[tone], text, { validateStream: false });
}

/** The tone of a job's or a run's status. */
export function toneOfStatus(status: string): Tone {
  return STATUS_TONES[status] ?? 'dim';
}

/**
 * Text for people as it may reach their terminal: without escape sequences and control characters, but for line ends,
 * tabs and the colours of `createPaint`. The last gate; a value that must stay on its line goes through `stripControl`.
 */
export function forTerminal({ hasColor }: Pick<CliIo, 'hasColor'>, text: string): string {
  return text.replaceAll(CONTROL, (found) =>
    found === '\n' || found === '\t' || (hasColor && OUR_COLOR.test(found)) ? found : '',
  );
}

/** Text without escape sequences, to measure it and to keep control characters of other programs off the terminal. */
export function stripControl(text: string): string {
  return text.replaceAll(CONTROL, '');
}

const FORMATS = {
  good: 'green',
  bad: 'red',
  warn: 'yellow',
  busy: 'cyan',
  dim: 'dim',
  strong: 'bold',
} as const;

const STATUS_TONES: Readonly<Record<string, Tone>> = {
  done: 'good',
  completed: 'good',
  running: 'busy',
  pending: 'dim',
  prepared: 'dim',
  blocked: 'warn',
  cancelled: 'warn',
  failed: 'bad',
  error: 'bad',
  timed_out: 'bad',
  lost: 'bad',
};

/** Escape sequences in both spellings, with ESC and a letter or with the one character U+0080 to U+009F; any other control character. */
const CONTROL =
  // eslint-disable-next-line no-control-regex -- matching control characters is the point
  /(?:\u001B\[|\u009B)[0-?]*[ -/]*[@-~]|(?:\u001B\]|\u009D)[^\u0007\u001B\u009C]*(?:\u0007|\u001B\\|\u009C)|\u001B[@-Z\\-_]|[\u0000-\u001F\u007F-\u009F]/g;
// eslint-disable-next-line no-control-regex -- matching control characters is the point
const OUR_COLOR = /^\u001B\[(?:1|2|22|31|32|33|36|39)m$/;
