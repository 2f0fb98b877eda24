/**
 * What a supervisor and its clients say to each other. Both come from the same installation or a neighbouring version:
 * a message that is not understood is answered with an error, never guessed.
 */
import { z } from 'zod';

import type { AuthorizationAnswer, AuthorizationQuestion } from './answers.ts';
import type { WorkerRunnerErrorCode } from './errors.ts';

/** Which run a call is about. */
interface RunCall {
  readonly id: number;
  readonly taskId: string;
  readonly runId: string;
}

/** A lease as it travels: with the name of who renews it. */
export interface TravellingLease {
  readonly lease?: unknown;
  readonly leaseMs: number;
  readonly expiresAtMonotonicMs?: number | undefined;
  readonly holdAfterEndMs: number;
  readonly keeper: TravellingModule;
}

/** A `ModuleSpec` as it travels: options that are `undefined` are left out by JSON. */
export interface TravellingModule {
  readonly module: string;
  readonly export: string;
  readonly options?: unknown;
}

/** Starts a step. */
export interface StartCall {
  readonly op: 'start';
  readonly id: number;
  readonly request?: unknown;
  /** Values for allow-listed variables, from the caller's environment. */
  readonly hostEnv: Readonly<Record<string, string>>;
  readonly lease?: TravellingLease | undefined;
  /** Whether the caller decides about `authorize` events, over this connection; `later`: whoever calls `decide`. */
  readonly decides: boolean | 'later';
}

/** Adopts a run, or connects to it as the one who decides. */
export interface AdoptCall extends RunCall {
  readonly op: 'adopt';
  readonly keeper?: TravellingModule | undefined;
  readonly decides: boolean;
}

/** A question of a client. `id` comes back with the answer. */
export type SupervisorCall =
  | StartCall
  | AdoptCall
  | (RunCall & { readonly op: 'wait' | 'checkpoint' | 'status' | 'acknowledge' | 'decide' })
  | (RunCall & { readonly op: 'cancel'; readonly text?: string | undefined })
  | { readonly op: 'info'; readonly id: number }
  | { readonly op: 'decided'; readonly id: number; readonly answer?: unknown };

/** The answer to a call, or a question of the supervisor to a client that decides for a run. */
export type SupervisorMessage =
  | { readonly id: number; readonly ok: true; readonly value?: unknown }
  | { readonly id: number; readonly ok: false; readonly code: string; readonly message: string }
  | { readonly ask: number; readonly question: AuthorizationQuestion };

/** Parses what a client sent; `undefined` when it is not understood. */
export function parseCall(value: unknown): SupervisorCall | undefined {
  const parsed = callSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** Parses what a supervisor sent; `undefined` when it is not understood. */
export function parseMessage(value: unknown): SupervisorMessage | undefined {
  const parsed = messageSchema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

const moduleSpec = z.object({ module: z.string(), export: z.string(), options: z.unknown() });
const run = { id: z.int(), taskId: z.string(), runId: z.string() };

const leaseSchema = z.object({
  lease: z.unknown(),
  leaseMs: z.number().min(1),
  expiresAtMonotonicMs: z.number().optional(),
  holdAfterEndMs: z.number().min(0),
  keeper: moduleSpec,
});

const callSchema: z.ZodType<SupervisorCall> = z.discriminatedUnion('op', [
  z.object({
    op: z.literal('start'),
    id: z.int(),
    request: z.unknown(),
    hostEnv: z.record(z.string(), z.string()),
    lease: leaseSchema.optional(),
    decides: z.union([z.boolean(), z.literal('later')]),
  }),
  z.object({ op: z.literal('adopt'), ...run, keeper: moduleSpec.optional(), decides: z.boolean() }),
  z.object({ op: z.enum(['wait', 'checkpoint', 'status', 'acknowledge', 'decide']), ...run }),
  z.object({ op: z.literal('cancel'), ...run, text: z.string().optional() }),
  z.object({ op: z.literal('info'), id: z.int() }),
  z.object({ op: z.literal('decided'), id: z.int(), answer: z.unknown() }),
]);

const questionSchema = z.object({
  taskId: z.string(),
  runId: z.string(),
  seq: z.int(),
  capability: z.string(),
  target: z.string(),
  body: z.record(z.string(), z.unknown()),
});

const messageSchema: z.ZodType<SupervisorMessage> = z.union([
  z.object({ id: z.int(), ok: z.literal(true), value: z.unknown() }),
  z.object({ id: z.int(), ok: z.literal(false), code: z.string(), message: z.string() }),
  z.object({ ask: z.int(), question: questionSchema }),
]);

/** Parses a decision; anything unreadable denies. */
export function parseAnswer(value: unknown): AuthorizationAnswer {
  const parsed = answerSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  return { ok: false, error: { code: 'INTERNAL_ERROR', message: 'The decision could not be read' } };
}

const answerSchema = z.union([
  z.object({ ok: z.literal(true) }),
  z.object({ ok: z.literal(false), error: z.object({ code: z.string(), message: z.string() }) }),
]);

/** Codes that travel over the socket and come out as the same error on the other side. */
export function toErrorCode(code: string): WorkerRunnerErrorCode {
  return TRAVELLING_CODES.find((known) => known === code) ?? 'supervisor-refused';
}

const TRAVELLING_CODES: readonly WorkerRunnerErrorCode[] = [
  'invalid-request',
  'run-not-found',
  'run-not-live',
  'run-owned',
  'record-unreadable',
  'record-unwritable',
  'lease-keeper-unusable',
];
