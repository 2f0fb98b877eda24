/** What a job waits for, as `--json` and the HTTP API show it. */
import type { z } from 'zod';

import type { Waiting } from '../waiting.ts';
import type { WaitingView } from './types.ts';
import { atMs, oneOf, orNull, text, view } from './view.ts';

/** What a job may wait for. */
const WAITING_STATES = [
  'already_running',
  'up_to_date',
  'retry_pending',
  'retry_exhausted',
  'concurrency_limit',
  'not_due',
  'paused',
  'cancelled',
  'not_found',
  'ready',
  'no_daemon',
  'older_config',
  'no_room',
  'not_configured',
] as const;

/** What a job waits for. */
export const waitingView: z.ZodType<WaitingView> = view<WaitingView>('WaitingView', 'What a job waits for', {
  state: oneOf(WAITING_STATES, "The store's refusal, or why a job that may start has not"),
  text: text('One sentence'),
  untilMs: orNull(atMs('When to look again')),
  hint: orNull(text('What would change it')),
});

/** Shows what a job waits for. */
export function toWaitingView({ state, text: sentence, untilMs, hint }: Waiting): WaitingView {
  return { state, text: sentence, untilMs: untilMs ?? null, hint: hint ?? null };
}
