// How every home-made check speaks: nothing to say means one line and exit code 0,
// otherwise one line per problem, each naming the file and what to do, and exit code 1.

/**
 * Ends a check.
 *
 * @param check - its name, as in `pnpm run check:graph`
 * @param problems - one sentence each
 */
export function report(check: string, problems: readonly string[]): void {
  for (const problem of problems) console.error(`${check}: ${problem}`);
  if (problems.length > 0) {
    console.error(`${check}: ${problems.length} ${problems.length === 1 ? 'problem' : 'problems'}`);
    process.exitCode = 1;
    return;
  }
  console.log(`${check}: ok`);
}
