/** TAP 12 to 14. Invariant: only top-level results count; subtests are summed up by their own top-level line. */
import type { TestFailure } from './record.ts';
import type { ParsedReport } from './test-report.ts';

/** @internal `undefined` when the text is no complete TAP: without a plan, or short of it. */
export function parseTap(text: string): ParsedReport | undefined {
  const failures: TestFailure[] = [];
  const lines = text.split(/\r?\n/);
  let planned: number | undefined;
  let passed = 0;
  let skipped = 0;
  for (const [index, line] of lines.entries()) {
    const plan = /^1\.\.(\d+)/.exec(line);
    if (plan !== null) planned = Number(plan[1]);
    if (line.startsWith('Bail out!')) {
      failures.push({ name: 'Bail out!', message: line.slice('Bail out!'.length).trim() });
    }
    const result = /^(not )?ok\b\s*\d*\s*(?:- )?(.*)$/.exec(line);
    if (result === null) continue;
    const [, not, rest = ''] = result;
    const directive = /(?:^|\s)#\s*(skip|todo)\b/i.exec(rest);
    if (directive !== null) skipped++;
    else if (not === undefined) passed++;
    else failures.push({ name: rest.trim(), message: diagnosticsAfter(lines, index) });
  }
  const seen = passed + skipped + failures.length;
  if (planned === undefined && failures.every((failure) => failure.name !== 'Bail out!')) return undefined;
  // Planned tests without a result did not run, which is a failure of the run.
  const missing = Math.max(0, (planned ?? 0) - seen);
  if (missing > 0) failures.push({ name: `${missing} planned tests`, message: 'They have no result' });
  return {
    totals: {
      total: seen + missing,
      passed,
      failed: seen - passed - skipped + missing,
      skipped,
    },
    failures,
  };
}

/** The YAML block or comments that follow a result. */
function diagnosticsAfter(lines: readonly string[], index: number): string {
  const rest = lines.slice(index + 1);
  const end = rest.findIndex((line) => !/^(?:\s|#)/.test(line));
  return rest
    .slice(0, end < 0 ? undefined : end)
    .map((line) => line.trim())
    .filter((line) => line !== '---' && line !== '...')
    .join('\n')
    .trim();
}
