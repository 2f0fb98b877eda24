import { describe, expect, test } from 'vitest';

import { formatTimeline } from '../src/terminal/timeline.ts';

const HOUR_MS = 3_600_000;
const FROM_MS = Date.parse('2027-03-01T00:00:00Z');

describe('formatTimeline', () => {
  test('given marks, skipped marks and many in one cell, each cell says what falls into it, over round hours', () => {
    const every = (count: number, isSkipped: boolean, atHour: number) =>
      Array.from({ length: count }, () => ({ atMs: FROM_MS + atHour * HOUR_MS, isSkipped }));
    const rows = [
      { label: 'one', marks: [...every(1, false, 0), ...every(1, true, 6)] },
      { label: 'many', marks: [...every(3, false, 12), ...every(12, false, 18)] },
    ];

    const drawn = formatTimeline(rows, {
      fromMs: FROM_MS,
      toMs: FROM_MS + 24 * HOUR_MS,
      columns: 31,
      paint: (_tone, text) => text,
    });

    expect(drawn.split('\n')).toEqual([
      'one  │•     ·',
      'many │            3     #',
      '     └┴───────────┴───────────',
      '      03-01       12:00',
      '',
    ]);
  });
});
