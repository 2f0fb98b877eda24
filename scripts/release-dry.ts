// `pnpm run release:dry`: the release up to the point where it would leave the house.
//
// Packs every published package into release/, installs those tarballs with plain npm in an empty folder outside this
// repository, compiles the README examples against the packed types, and runs each on every Node we promise.

import { existsSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { readExamples, writeExample } from './doc-examples.ts';
import { findNode, findTool, runProgram } from './pnpm.ts';
import { report } from './report.ts';
import { type Tarball, packAll } from './tarballs.ts';
import { readJson, repositoryRoot } from './workspace.ts';

/** Oldest first; the pinned one is the second. */
const nodes: readonly string[] = ['22', '24'];

const typeCheck = {
  compilerOptions: {
    module: 'nodenext',
    target: 'es2023',
    lib: ['es2023', 'esnext.disposable'],
    types: ['node'],
    strict: true,
    skipLibCheck: false,
    noEmit: true,
  },
};

/** Uses the tarballs as a stranger would. */
function findReleaseProblems(tarballs: readonly Tarball[]): readonly string[] {
  const consumer = realpathSync(mkdtempSync(join(tmpdir(), 'conductor-release-')));
  try {
    writeFileSync(
      join(consumer, 'package.json'),
      JSON.stringify({ name: 'consumer', private: true, type: 'module' }),
    );
    writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify(typeCheck));
    const types = readJson(join(repositoryRoot, 'node_modules/@types/node/package.json')) as {
      version: string;
    };
    const wanted = [...tarballs.map(({ file }) => file), `@types/node@${types.version}`];
    const installed = runProgram('npm', ['install', '--no-audit', '--no-fund', ...wanted], {
      cwd: consumer,
      timeoutMs: 300_000,
    });
    if (!installed.passed) return [`plain npm does not install the tarballs:\n${installed.output}`];
    return tarballs.flatMap((tarball) => findUseProblems(consumer, tarball));
  } finally {
    rmSync(consumer, { recursive: true, force: true });
  }
}

function findUseProblems(consumer: string, { workspacePackage, manifest }: Tarball): readonly string[] {
  const { folder, shortName } = workspacePackage;
  const readme = join(consumer, 'node_modules', manifest.name, 'README.md');
  if (!existsSync(readme)) return [`${folder}: the tarball has no README.md`];
  const examples = readExamples(readme);
  if (examples.length === 0) return [`${folder}/README.md has no example to run`];
  const programs = examples.map((example) => writeExample(example, join(consumer, shortName)));
  const compiled = runProgram(findTool('tsc'), ['-p', join(consumer, 'tsconfig.json'), '--pretty', 'false'], {
    cwd: consumer,
  });
  if (!compiled.passed)
    return [`${folder}: the README does not compile against the packed types:\n${compiled.output}`];
  return nodes.flatMap((major) =>
    programs.flatMap((program) => {
      const { passed, output } = runProgram(findNode(major), [program], { cwd: consumer, timeoutMs: 60_000 });
      const what = `${manifest.name}@${manifest.version} ${relative(consumer, program)} on Node ${major}`;
      console.log(`${passed ? 'ok  ' : 'FAIL'}  ${what}`);
      return passed ? [] : [`${what}:\n${output}`];
    }),
  );
}

if (import.meta.main) {
  const tarballs = packAll(repositoryRoot, join(repositoryRoot, 'release'));
  for (const { file } of tarballs) console.log(`packed ${relative(repositoryRoot, file)}`);
  report('release:dry', findReleaseProblems(tarballs));
}
