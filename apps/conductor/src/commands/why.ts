/** `conductor why JOB`: the decisions on its last slots, what became of its last attempts, and what it waits for now. */
import type { Command } from 'commander';

import {
  type CliOptions,
  type Context,
  createContext,
  withApiOption,
  withCommonOptions,
} from '../context.ts';
import { parseInstant } from '../instant.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import { readWhy } from '../record/slots.ts';
import { fromRecord } from '../remote.ts';
import { describeReason } from '../slot-words.ts';
import { stripControl, toneOfStatus } from '../terminal/style.ts';
import { formatTable } from '../terminal/table.ts';
import { formatInstant, formatRelative } from '../terminal/time.ts';
import { whyView } from '../views/slot-views.ts';
import type { AttemptView, SlotAnswerView, SlotView, WhyView } from '../views/types.ts';
import { DEFAULT_KEY } from '../wire.ts';

/** Adds `why`. */
export function addWhyCommand(program: Command, io: CliIo): void {
  withApiOption(
    withCommonOptions(
      program
        .command('why <job>')
        .description('why a job ran, did not run, or waits: its slots, its attempts, what it waits for')
        .addOption(keyOption())
        .option('--at <instant>', 'explain the one slot at this ISO 8601 instant')
        .addHelpText(
          'after',
          '\nExamples:\n  conductor why nightly-tests\n  conductor why nightly-tests --at 2027-03-28T03:00:00Z',
        ),
    ),
  ).action(async (name: string, options: CliOptions) => {
    const { key, at, ...common } = options;
    const context = createContext(io, common);
    const atMs = typeof at === 'string' ? parseInstant('--at', at) : undefined;
    const view = await fromRecord(context, {
      here: (place) => readWhy(place, name, String(key), atMs),
      there: (client) => client.why(name, { key: String(key), ...(atMs !== undefined && { atMs }) }),
    });
    if (context.json) context.printJson(whyView, view);
    else if (view.answer === null) context.print(describe(context, view, io.clock.nowMs()));
    else context.print(`${name} ${formatInstant(view.answer.askedMs)}: ${describeAnswer(view.answer)}\n`);
  });
}

function describe(context: Context, explanation: WhyView, nowMs: number): string {
  const { job, key, waiting, slots, watch, changes, upcoming, attempts, problem } = explanation;
  const { paint } = context;
  const name = key === DEFAULT_KEY ? job : `${job} (${stripControl(key)})`;
  const hint = waiting.hint === null ? '' : `${paint('dim', waiting.hint)}\n`;
  const parts = [`${paint('strong', name)} ${waiting.text}\n${hint}`];
  if (problem !== null) parts.push(`${paint('bad', stripControl(problem))}\n`);
  const [next] = upcoming;
  if (next !== undefined) {
    parts.push(
      `next slot ${formatInstant(next.firesAtMs)} (${formatRelative(next.firesAtMs, nowMs)}): ${describeReason(next.decision, next.reason)}\n`,
    );
  }
  if (watch !== null) {
    parts.push(
      `watches ${watch.kind}${watch.job === null ? '' : ` ${watch.job}`}, ${watch.seen === null ? 'nothing seen yet' : `acted on up to ${watch.seen}`}\n`,
    );
  }
  if (slots.length > 0) parts.push(`\n${formatSlots(context, slots, nowMs)}`);
  if (changes.length > 0) parts.push(`\n${formatChanges(context, changes, nowMs)}`);
  if (attempts.length > 0) parts.push(`\n${formatAttempts(context, attempts, nowMs)}`);
  return parts.join('');
}

function formatSlots(context: Context, slots: readonly SlotView[], nowMs: number): string {
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

function formatChanges(context: Context, changes: readonly SlotView[], nowMs: number): string {
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

function formatAttempts(context: Context, attempts: readonly AttemptView[], nowMs: number): string {
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

function describeAnswer(answer: SlotAnswerView): string {
  const { status, decision, term, slotMs, askedMs } = answer;
  const why = describeReason(decision ?? '', answer.reason ?? '');
  switch (status) {
    case 'decided': {
      const together = slotMs === askedMs ? '' : `, together with ${formatInstant(slotMs)}`;
      return `${decision ?? ''}${together}: ${why} (term ${term ?? '-'})`;
    }
    case 'overdue':
    case 'upcoming':
      return `${status}, will be ${decision ?? ''} at ${formatInstant(answer.firesAtMs)}: ${why}`;
    case 'not-a-slot':
      return `no slot (${(answer.reason ?? '').replaceAll('-', ' ')}); the next one is ${formatInstant(answer.nextSlotMs)}`;
    case 'forgotten':
      return 'was decided, and the record of it is gone by now';
  }
}
