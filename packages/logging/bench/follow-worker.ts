/** Follows the bench run of another process to its end and prints how many bytes came. */
import { openRun, resolveRunPaths } from '../src/index.ts';

const [directory = ''] = process.argv.slice(2);
let bytes = 0;
for await (const item of openRun(
  resolveRunPaths({ runsDir: directory, taskId: 'bench', runId: 'run' }),
).follow()) {
  if (item.kind === 'chunk') bytes += item.bytes.byteLength;
}
process.stdout.write(String(bytes));
