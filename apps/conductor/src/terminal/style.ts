/** Colours, by meaning. Invariant: text without colour says the same. */
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

/** Text without escape sequences, to measure it and to keep control characters of other programs off the terminal. */
export function stripControl(text: string): string {
  return text.replaceAll(ESCAPES, '').replaceAll(CONTROL, '');
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

// eslint-disable-next-line no-control-regex -- matching control characters is the point
const ESCAPES = /\u001B(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001B]*(?:\u0007|\u001B\\)|[@-Z\\-_])/g;
// eslint-disable-next-line no-control-regex -- matching control characters is the point
const CONTROL = /[\u0000-\u001F\u007F]/g;
