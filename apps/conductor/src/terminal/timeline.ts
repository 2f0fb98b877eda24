/** A span of time drawn in one line per row: what happens when, at a glance. */
import { type Paint, stripControl } from './style.ts';

/** One row of a timeline. */
export interface TimelineRow {
  readonly label: string;
  /** Instants to mark, UTC ms. */
  readonly marks: readonly { readonly atMs: number; readonly isSkipped: boolean }[];
  /** Behind it nobody has looked, UTC ms; unset when `marks` are all. */
  readonly knownUntilMs?: number;
}

/** The span to draw, and how wide. */
export interface TimelineOptions {
  /** UTC ms, inclusive. */
  readonly fromMs: number;
  /** UTC ms, exclusive. */
  readonly toMs: number;
  /** Columns there are, labels included. */
  readonly columns: number;
  readonly paint: Paint;
}

/**
 * Draws rows over a common axis of UTC hours or days. A cell shows how many marks fall into it: `•`, 2 to 9, `#` for
 * more; `·` when all of them are skipped, `…` where nobody has looked.
 *
 * @param rows - top to bottom
 * @param options - the span and the width
 * @returns the lines, each ended by a newline
 */
export function formatTimeline(rows: readonly TimelineRow[], options: TimelineOptions): string {
  const { fromMs, toMs, columns, paint } = options;
  const labelWidth = Math.min(MAX_LABEL, Math.max(0, ...rows.map((row) => stripControl(row.label).length)));
  const width = Math.max(MIN_WIDTH, columns - labelWidth - 3);
  const columnOf = (atMs: number): number => Math.floor(((atMs - fromMs) / (toMs - fromMs)) * width);
  const lines = rows.map((row) => {
    const label = stripControl(row.label).slice(0, labelWidth).padEnd(labelWidth);
    return `${label} ${paint('dim', '│')}${cellsOf(row, width, columnOf, paint)}`.trimEnd();
  });
  const axis = axisOf(fromMs, toMs, width, columnOf);
  const indent = ' '.repeat(labelWidth + 1);
  const axisLines = [`${indent}${paint('dim', `└${axis.ticks}`)}`, `${indent} ${paint('dim', axis.words)}`];
  return [...lines, ...axisLines].map((line) => `${line.trimEnd()}\n`).join('');
}

/** What the cells mean, in one line. */
export const TIMELINE_LEGEND = '• once, 2 to 9 so often, # more often, · skipped, … not looked at';

function cellsOf(row: TimelineRow, width: number, columnOf: (atMs: number) => number, paint: Paint): string {
  const ran = Array.from({ length: width }, () => 0);
  const skipped = Array.from({ length: width }, () => 0);
  for (const { atMs, isSkipped } of row.marks) {
    const column = columnOf(atMs);
    const counts = isSkipped ? skipped : ran;
    if (column >= 0 && column < width) counts[column] = (counts[column] ?? 0) + 1;
  }
  const known = row.knownUntilMs === undefined ? width : columnOf(row.knownUntilMs);
  return ran
    .map((count, column) => {
      if (column > known) return paint('dim', '…');
      if (count === 0) return (skipped[column] ?? 0) > 0 ? paint('warn', '·') : ' ';
      return paint('good', count === 1 ? '•' : count <= 9 ? String(count) : '#');
    })
    .join('');
}

/** Marks at round instants, as many as have room for their words. */
function axisOf(
  fromMs: number,
  toMs: number,
  width: number,
  columnOf: (atMs: number) => number,
): { readonly ticks: string; readonly words: string } {
  const room = Math.max(1, Math.floor(width / WORD_WIDTH));
  const stepMs = STEPS_MS.find((step) => (toMs - fromMs) / step <= room) ?? LONGEST_STEP_MS;
  const ticks = Array.from({ length: width }, () => '─');
  let words = '';
  for (let atMs = Math.ceil(fromMs / stepMs) * stepMs; atMs < toMs; atMs += stepMs) {
    const column = columnOf(atMs);
    ticks[column] = '┴';
    const iso = new Date(atMs).toISOString();
    const word = atMs % DAY_MS === 0 ? iso.slice(5, 10) : iso.slice(11, 16);
    words = words.padEnd(column) + word;
  }
  return { ticks: ticks.join(''), words };
}

const MAX_LABEL = 24;
const MIN_WIDTH = 20;
/** `03:00` or `11-21`, and a gap. */
const WORD_WIDTH = 7;
const HOUR_MS = 3_600_000;
const DAY_MS = 86_400_000;
const STEPS_MS = [
  60_000,
  300_000,
  900_000,
  HOUR_MS,
  2 * HOUR_MS,
  3 * HOUR_MS,
  6 * HOUR_MS,
  12 * HOUR_MS,
  DAY_MS,
  2 * DAY_MS,
  7 * DAY_MS,
];
const LONGEST_STEP_MS = 30 * DAY_MS;
