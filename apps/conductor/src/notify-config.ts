/** The `notify:` part of a job: whom it tells what. */
import { z } from 'zod';

import { command, variableName } from './job-parts.ts';

/**
 * What a job can tell: an attempt failed, succeeded, succeeded after failures, needs a person, was lost with its node, or
 * was the last one, with no retry left.
 */
export type NotifyEvent = (typeof NOTIFY_EVENTS)[number];

/** Whom a job tells what. */
export interface NotifyDefinition {
  readonly on: readonly NotifyEvent[];
  readonly target:
    | { readonly kind: 'command'; readonly command: string | readonly string[] }
    | {
        readonly kind: 'webhook';
        readonly url: string;
        /** Names the variable that holds the key of the signature. */
        readonly secretEnv: string;
      };
}

const NOTIFY_EVENTS = ['failed', 'succeeded', 'recovered', 'exhausted', 'blocked', 'lost'] as const;

const webhook = z.strictObject({
  url: z
    .url({ protocol: /^https?$/, error: 'expected an http or https address' })
    .refine(hasNoCredentials, {
      error: 'expected an address without a user and password: requests are signed with secretEnv',
    })
    .describe('Gets a POST with the notification as JSON'),
  secretEnv: variableName.describe('Names the variable with the key of the signature'),
});

/** What a user writes. */
export interface NotifyInput {
  readonly on: readonly NotifyEvent[];
  readonly command?: string | readonly string[] | undefined;
  readonly webhook?: { readonly url: string; readonly secretEnv: string } | undefined;
}

/** The door. */
export const notifySchema: z.ZodType<NotifyInput> = z
  .strictObject({
    on: z
      .array(z.enum(NOTIFY_EVENTS, { error: explainEvent }))
      .min(1)
      .describe('What to tell'),
    command: command.optional().describe('Gets the notification as JSON on its standard input'),
    webhook: webhook.optional().describe('A signed request; one of command and webhook'),
  })
  .refine((value) => (value.command === undefined) !== (value.webhook === undefined), {
    error: 'expected exactly one of command and webhook',
  });

/** The file's words in those the app works with. */
export function toNotify({ on, command: hook, webhook: target }: NotifyInput): NotifyDefinition {
  if (target !== undefined) return { on, target: { kind: 'webhook', ...target } };
  return { on, target: { kind: 'command', command: hook ?? [] } };
}

/** Other tools have other words for the same. */
function explainEvent({ input }: { readonly input?: unknown }): string {
  const ours = typeof input === 'string' ? OTHER_WORDS[input] : undefined;
  const near = ours === undefined ? '' : `, did you mean "${ours}"?`;
  return `expected one of ${NOTIFY_EVENTS.join(', ')}${near}`;
}

const OTHER_WORDS: Readonly<Record<string, NotifyEvent>> = {
  success: 'succeeded',
  succeed: 'succeeded',
  failure: 'failed',
  fail: 'failed',
  'final-failure': 'exhausted',
  final_failure: 'exhausted',
};

/** fetch refuses such an address, and says it aloud. */
function hasNoCredentials(address: string): boolean {
  if (!URL.canParse(address)) return true;
  const { username, password } = new URL(address);
  return username === '' && password === '';
}
