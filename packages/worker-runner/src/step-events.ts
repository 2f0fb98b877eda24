/**
 * The door for what a step says about itself: one JSON object a line, from any language.
 * Invariant: a line that is not understood never stops the step; it is told apart and counted.
 */
import { z } from 'zod';

import { isDeeperThan, redactJson } from './redaction.ts';

/** What a step can say. Bodies are those of ARCP; unknown fields are kept. */
export const STEP_EVENT_KINDS = [
  'progress',
  'metric',
  'log',
  'thought',
  'tool_call',
  'tool_result',
  'status',
  'artifact_ref',
  'result_chunk',
  'summary',
  'blocked',
  'needs_human',
  'result',
  'checkpoint',
  'authorize',
] as const;

/** A kind of structured event. */
export type StepEventKind = (typeof STEP_EVENT_KINDS)[number];

/** What a step wrote, after it was checked. */
export interface ReportedEvent {
  /** What it says. */
  readonly kind: StepEventKind;
  /** The step's own name for it; required for `authorize`, whose answer carries it. */
  readonly id?: string;
  /** The content. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** One line of `events.ndjson`. */
export interface StepEvent extends ReportedEvent {
  /** Its place among the run's structured events, from 1, without gaps, also across a crash. */
  readonly seq: number;
  /** When it was read, UTC milliseconds. */
  readonly createdAt: number;
}

/** A checked line, or why it was refused. */
export type ParsedEventLine =
  | { readonly event: ReportedEvent; readonly problem?: never }
  | { readonly event?: never; readonly problem: string };

/**
 * Checks one line.
 *
 * @param line - without its newline
 * @param redact - applied to every text of it once it is parsed: JSON has many spellings of the same text
 */
export function parseEventLine(line: string, redact: (text: string) => string): ParsedEventLine {
  const value = parseJson(line);
  if (value === undefined) return { problem: 'not JSON' };
  if (isDeeperThan(value.json, MAX_DEPTH)) return { problem: `nested deeper than ${MAX_DEPTH}` };
  const parsed = lineSchema.safeParse(redactLine(value.json, redact));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return { problem: `field "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unreadable'}` };
  }
  const { kind, id, body } = parsed.data;
  return { event: { kind, ...(id === undefined ? {} : { id }), body } };
}

/** The kind is one of our words, also where somebody's secret is the same word. */
function redactLine(json: unknown, redact: (text: string) => string): unknown {
  const clean = redactJson(json, redact);
  if (clean === json || typeof json !== 'object' || json === null || !('kind' in json)) return clean;
  return { ...(clean as object), kind: json.kind };
}

function parseJson(line: string): { readonly json: unknown } | undefined {
  try {
    return { json: JSON.parse(line) };
  } catch {
    return undefined;
  }
}

const text = z.string();
const finite = z.number().finite();

/** Only what this package or the wire protocol relies on is checked; everything else in a body is the step's affair. */
const BODY_SCHEMAS: Readonly<Partial<Record<StepEventKind, z.ZodType>>> = {
  progress: z.looseObject({ current: finite.min(0).optional(), total: finite.min(0).optional() }),
  metric: z.looseObject({ name: text.min(1), value: finite, unit: text.optional() }),
  summary: z.looseObject({ text: text.min(1) }),
  artifact_ref: z.looseObject({ path: text.min(1).optional(), uri: text.min(1).optional() }),
  authorize: z.looseObject({ capability: text.min(1), target: text.optional() }),
  result_chunk: z.looseObject({ chunk_seq: z.int().min(0).optional(), data: text.optional() }),
};

const lineSchema = z
  .object({
    kind: z.enum(STEP_EVENT_KINDS),
    id: z.string().min(1).max(256).optional(),
    body: z.record(z.string(), z.unknown()).default({}),
  })
  .superRefine((line, context) => {
    if (line.kind === 'authorize' && line.id === undefined) {
      context.addIssue({ code: 'custom', path: ['id'], message: 'expected an id to answer to' });
    }
    const parsed = BODY_SCHEMAS[line.kind]?.safeParse(line.body);
    const issue = parsed?.error?.issues[0];
    if (issue !== undefined) {
      context.addIssue({ code: 'custom', path: ['body', ...issue.path], message: issue.message });
    }
  });

/** What is read without recursion cannot always be written again: the stack has its end at some 5,000. */
const MAX_DEPTH = 100;
