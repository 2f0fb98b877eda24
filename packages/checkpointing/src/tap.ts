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
  const found: string[] = [];
  for (let next = index + 1; next < lines.length; next++) {
    const line = lines[next] ?? '';
    if (!/^[\s#]/.test(line)) break;
    const text = line.trim();
    if (text !== '---' && text !== '...') found.push(text);
  }
  return found.join('\n').trim();
}
