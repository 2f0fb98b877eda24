// `pnpm run test:node 22 [vitest arguments]`: the tests of the packages on another Node than the pinned one.
// The packages promise these Nodes; the scripts of this repository do not, so their own tests stay out.

import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { findNode, otherNodes } from './pnpm.ts';
import { repositoryRoot } from './workspace.ts';

const [major = '', ...rest] = process.argv.slice(2);
if (!(major in otherNodes)) {
  throw new Error(`Usage: pnpm run test:node ${Object.keys(otherNodes).join(' | ')} [vitest arguments]`);
}
const node = findNode(major);
console.log(`test:node: ${node}`);
const vitest = join(repositoryRoot, 'node_modules/vitest/vitest.mjs');
// The app's tests start it from its sources, which Node 22 cannot parse; release:dry runs the packed app there.
const filters = rest.length > 0 ? rest : ['packages'];
// Children that say just `node` get this one too.
const path = [join(node, '..'), process.env['PATH']].join(':');
const { status } = spawnSync(node, [vitest, 'run', ...filters], {
  cwd: repositoryRoot,
  env: {
    ...process.env,
    PATH: path,
    NODE_OPTIONS: `--import=${new URL('use-built.mjs', import.meta.url).href}`,
  },
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
