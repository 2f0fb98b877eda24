/** Aligned columns for people; `--json` is for programs. */
import { type Paint, stripControl } from './style.ts';

/** One column: its head and how a row's cell reads. */
export interface Column<Row> {
  readonly head: string;
  readonly cell: (row: Row) => string;
  /** Numbers read better at the right edge. */
  readonly align?: 'left' | 'right';
}

/**
 * Writes rows under their heads, each column as wide as its widest cell.
 *
 * @param rows - what to show
 * @param columns - how; the last one is never padded
 * @param paint - for the heads
 * @returns the lines, each ended by a newline; only the heads when there are no rows
 */
export function formatTable<Row>(
  rows: readonly Row[],
  columns: readonly Column<Row>[],
  paint: Paint,
): string {
  const cells = rows.map((row) => columns.map((column) => column.cell(row)));
  const widths = columns.map((column, index) =>
    Math.max(column.head.length, ...cells.map((line) => visibleLength(line[index] ?? ''))),
  );
  const toLine = (line: readonly string[]): string =>
    line
      .map((cell, index) => pad(cell, widths[index] ?? 0, columns[index]?.align ?? 'left'))
      .join('  ')
      .trimEnd();
  const heads = columns.map((column) => paint('dim', column.head));
  return `${[heads, ...cells].map(toLine).join('\n')}\n`;
}

function pad(cell: string, width: number, align: 'left' | 'right'): string {
  const gap = ' '.repeat(Math.max(0, width - visibleLength(cell)));
  return align === 'left' ? cell + gap : gap + cell;
}

function visibleLength(cell: string): number {
  return stripControl(cell).length;
}
