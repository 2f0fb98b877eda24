/** `conductor why JOB`: the decisions on its last slots, what became of its last attempts, and what it waits for now. */
import type { Attempt, Slot } from '@conductor-run/job-store';
import type { ForecastSlot, SlotAnswer } from '@conductor-run/timed-jobs';
import type { Command } from 'commander';

import { type CliOptions, type Context, createContext, withCommonOptions } from '../context.ts';
import { createJobScheduler } from '../daemon/job-scheduler.ts';
import { watchSlotName } from '../daemon/watchers.ts';
import { ConductorError } from '../errors.ts';
import { parseInstant } from '../instant.ts';
import type { CliIo } from '../io.ts';
import { describeReason } from '../slot-words.ts';
import { stripControl, toneOfStatus } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { explainWaiting, type Waiting } from '../waiting.ts';
import { DEFAULT_KEY, withStore } from '../wire.ts';
import { requireJob } from './jobs.ts';

/** Adds `why`. */
export function addWhyCommand(program: Command, io: CliIo): void {
  withCommonOptions(
    program
      .command('why <job>')
      .description('why a job ran, did not run, or waits: its slots, its attempts, what it waits for')
      .option('--key <key>', 'which one of its kind', DEFAULT_KEY)
      .option('--at <instant>', 'explain the one slot at this ISO 8601 instant')
      .addHelpText(
        'after',
        '\nExamples:\n  conductor why nightly-tests\n  conductor why nightly-tests --at 2027-03-28T03:00:00Z',
      ),
  ).action(async (name: string, options: CliOptions) => {
    const { key, at, ...common } = options;
    const context = createContext(io, common);
    if (typeof at === 'string') await explainSlotAt(context, name, parseInstant('--at', at));
    else await explainJob(context, name, String(key));
  });
}

/** What `why` tells; `--json` prints it as it is. */
interface Explanation {
  readonly job: string;
  readonly key: string;
  readonly waiting: Waiting;
  readonly slots: readonly Slot[];
  /** What it watches, and the newest value that was acted on; `null` when it watches nothing. */
  readonly watch: { readonly kind: string; readonly seen: number | null } | null;
  /** The changes its watch has seen, newest first, as far as they are kept; `slotMs` is the value. */
  readonly changes: readonly Slot[];
  readonly upcoming: readonly ForecastSlot[];
  readonly attempts: readonly Attempt[];
}

async function explainJob(context: Context, name: string, key: string): Promise<void> {
  const nowMs = context.io.clock.nowMs();
  const definition = context.config.jobs.get(name);
  const explanation = await withStore(context, async (store): Promise<Explanation> => {
    if (definition === undefined) await requireJob(context, store, name, key);
    // Schedules raise the job of the default key.
    const isScheduled = definition?.schedule !== undefined && key === DEFAULT_KEY;
    const upcoming = isScheduled
      ? await createJobScheduler({ jobs: new Map([[name, definition]]), store }).forecast(
          nowMs,
          nowMs + HORIZON_MS,
          MAX_UPCOMING,
        )
      : [];
    return {
      job: name,
      key,
      waiting: await explainWaiting(store, name, key, definition, nowMs),
      slots: key === DEFAULT_KEY ? await store.slots(name, { limit: MAX_SLOTS }) : [],
      watch:
        definition?.watch === undefined
          ? null
          : { kind: definition.watch.kind, seen: (await store.slotCursor(watchSlotName(name))) ?? null },
      changes: key === DEFAULT_KEY ? await store.slots(watchSlotName(name), { limit: MAX_SLOTS }) : [],
      upcoming,
      attempts: (await store.attempts(name, key)).slice(-MAX_ATTEMPTS),
    };
  });
  if (context.json) context.printJson(explanation);
  else context.print(describe(context, explanation, nowMs));
}

function describe(context: Context, explanation: Explanation, nowMs: number): string {
  const { job, key, waiting, slots, watch, changes, upcoming, attempts } = explanation;
  const { paint } = context;
  const name = key === DEFAULT_KEY ? job : `${job} (${stripControl(key)})`;
  const hint = waiting.hint === undefined ? '' : `${paint('dim', waiting.hint)}\n`;
  const parts = [`${paint('strong', name)} ${waiting.text}\n${hint}`];
  const [next] = upcoming;
  if (next !== undefined) {
    parts.push(
      `next slot ${formatInstant(next.firesAtMs)} (${formatRelative(next.firesAtMs, nowMs)}): ${describeReason(next.decision, next.reason)}\n`,
    );
  }
  if (watch !== null) {
    parts.push(
      `watches ${watch.kind}, ${watch.seen === null ? 'nothing seen yet' : `acted on up to ${watch.seen}`}\n`,
    );
  }
  if (slots.length > 0) parts.push(`\n${formatSlots(context, slots, nowMs)}`);
  if (changes.length > 0) parts.push(`\n${formatChanges(context, changes, nowMs)}`);
  if (attempts.length > 0) parts.push(`\n${formatAttempts(context, attempts, nowMs)}`);
  return parts.join('');
}

function formatSlots(context: Context, slots: readonly Slot[], nowMs: number): string {
  return formatTable(
    slots,
    [
      { head: 'SLOT', cell: (slot) => formatInstant(slot.slotMs) },
      { head: 'WAS', cell: (slot) => slot.decision },
      { head: 'DECIDED', cell: (slot) => formatRelative(slot.decidedAtMs, nowMs) },
      { head: 'TERM', cell: (slot) => String(slot.term), align: 'right' },
      { head: 'WHY', cell: (slot) => describeReason(slot.decision, slot.reason ?? '') },
    ],
    context.paint,
  );
}

function formatChanges(context: Context, changes: readonly Slot[], nowMs: number): string {
  return formatTable(
    changes,
    [
      { head: 'WATCHED', cell: (change) => change.reason ?? '-' },
      { head: 'VALUE', cell: (change) => String(change.slotMs), align: 'right' },
      { head: 'SEEN', cell: (change) => formatRelative(change.decidedAtMs, nowMs) },
      { head: 'TERM', cell: (change) => String(change.term), align: 'right' },
    ],
    context.paint,
  );
}

function formatAttempts(context: Context, attempts: readonly Attempt[], nowMs: number): string {
  return formatTable(
    attempts.toReversed(),
    [
      { head: 'ATTEMPT', cell: (attempt) => String(attempt.attempt), align: 'right' },
      {
        head: 'OUTCOME',
        cell: (attempt) => context.paint(toneOfStatus(attempt.outcome), attempt.outcome),
      },
      { head: 'NODE', cell: (attempt) => attempt.node ?? attempt.workerId },
      { head: 'STARTED', cell: (attempt) => formatRelative(attempt.startedAtMs, nowMs) },
      { head: 'ERROR', cell: (attempt) => stripControl(attempt.error ?? '-').slice(0, 80) },
    ],
    context.paint,
  );
}

async function explainSlotAt(context: Context, name: string, slotMs: number): Promise<void> {
  const definition = context.config.jobs.get(name);
  if (definition?.schedule === undefined) {
    throw new ConductorError(
      'usage',
      `Cannot explain a slot of job "${name}": it has no schedule in the config, expected one that has`,
      { hint: `conductor why ${name}` },
    );
  }
  const answer = await withStore(context, (store) =>
    createJobScheduler({ jobs: new Map([[name, definition]]), store }).why(
      name,
      slotMs,
      context.io.clock.nowMs(),
    ),
  );
  if (context.json) context.printJson({ job: name, slotMs, ...answer });
  else context.print(`${name} ${formatInstant(slotMs)}: ${describeAnswer(answer, slotMs)}\n`);
}

function describeAnswer(answer: SlotAnswer, slotMs: number): string {
  switch (answer.status) {
    case 'decided': {
      const together = answer.slotMs === slotMs ? '' : `, together with ${formatInstant(answer.slotMs)}`;
      return `${answer.decision}${together}: ${describeReason(answer.decision, answer.reason)} (term ${answer.term})`;
    }
    case 'overdue':
    case 'upcoming':
      return `${answer.status}, will be ${answer.decision} at ${formatInstant(answer.firesAtMs)}: ${describeReason(answer.decision, answer.reason)}`;
    case 'not-a-slot':
      return `no slot (${answer.reason.replaceAll('-', ' ')}); the next one is ${formatInstant(answer.nextSlotMs)}`;
    case 'forgotten':
      return 'was decided, and the record of it is gone by now';
  }
}

const MAX_SLOTS = 10;
const MAX_ATTEMPTS = 5;
const MAX_UPCOMING = 3;
/** Far enough for a schedule of once a leap year. */
const HORIZON_MS = 8 * 366 * 86_400_000;
