// `pnpm run test:node 22 [vitest arguments]`: every test of the packages and the app on another Node than the pinned one.
//
// They run in a copy of this workspace whose `src/x.ts` says only `export * from '../dist/x.js'`: whoever asks for a source,
// a test, a child of a test or a supervisor without our environment, gets what users get. The sources themselves are
// written for the pinned Node, and so are `scripts`, whose tests stay out.

import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, delimiter, dirname, join, relative } from 'node:path';
import { findNode, findTool, otherNodes, runProgram } from './pnpm.ts';
import { listFiles, listPackages, repositoryRoot } from './workspace.ts';

const [major = '', ...vitestArguments] = process.argv.slice(2);
if (!(major in otherNodes)) {
  throw new Error(`Usage: pnpm run test:node ${Object.keys(otherNodes).join(' | ')} [vitest arguments]`);
}
const build = runProgram(findTool('tsc'), ['-b', 'tsconfig.build.json'], { cwd: repositoryRoot });
if (!build.passed) throw new Error(`Cannot test on Node "${major}": the build failed\n${build.output}`);

const copy = join(repositoryRoot, 'temp', `node-${major}`);
rmSync(copy, { recursive: true, force: true });
copyWorkspace(copy);
const node = copyNode(findNode(major), copy);

console.log(`test:node: Node ${otherNodes[major]}, compiled code, in ${copy}`);
const { status } = spawnSync(
  node,
  [join('node_modules', 'vitest', 'vitest.mjs'), 'run', ...vitestArguments],
  {
    cwd: copy,
    // Children that say just `node` get this one too.
    env: { ...process.env, PATH: [dirname(node), process.env['PATH']].join(delimiter) },
    stdio: 'inherit',
  },
);
process.exitCode = status ?? 1;

/** Links between packages are relative, so in the copy they lead to its packages; what comes from outside is shared. */
function copyWorkspace(folder: string): void {
  mkdirSync(folder, { recursive: true });
  const others = new Set(['.git', 'node_modules', 'temp', 'release', 'coverage', 'scripts']);
  for (const entry of readdirSync(repositoryRoot).filter((name) => !others.has(name))) {
    cpSync(join(repositoryRoot, entry), join(folder, entry), { recursive: true, verbatimSymlinks: true });
  }
  symlinkSync(join(repositoryRoot, 'node_modules'), join(folder, 'node_modules'));

  for (const { path } of listPackages(folder)) {
    const sources = join(path, 'src');
    for (const file of listFiles(sources, ['**/*.ts'])) {
      const built = join(path, 'dist', relative(sources, file).replace(/\.ts$/, '.js'));
      writeFileSync(file, `export * from '${relative(dirname(file), built)}';\n`);
    }
  }
}

/** Tests start children as another user, who may not look into the home directory where npm keeps what it fetched. */
function copyNode(executable: string, folder: string): string {
  const file = join(folder, 'bin-node', basename(executable));
  mkdirSync(dirname(file));
  copyFileSync(executable, file);
  return file;
}
