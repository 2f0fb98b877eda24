// `pnpm run check:pack`: what goes to the registry is what we mean to send. It packs every published package and looks
// at the tarballs: publint, "are the types wrong", the list of files against `etc/files.txt`, the dependency budget.
//
// A diff in etc/files.txt is a change of what users download, made on purpose with `pnpm run pack:update`.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publint } from 'publint';
import { formatMessage } from 'publint/utils';
import { findTool, runProgram } from './pnpm.ts';
import { report } from './report.ts';
import { type Tarball, packAll } from './tarballs.ts';
import { type Manifest, repositoryRoot } from './workspace.ts';

/** Each needs its reason in the README; more of them means the package does too much. */
const maxRuntimeDependencies = 3;

/** What every tarball must hold, whatever the package. */
const requiredFiles: readonly string[] = ['LICENSE', 'README.md', 'package.json'];

/** Finds what is wrong with a tarball before it is published. */
export async function findPackProblems(tarball: Tarball, update: boolean): Promise<readonly string[]> {
  const { folder } = tarball.workspacePackage;
  const problems = [
    ...findManifestProblems(tarball.manifest),
    ...(folder.startsWith('packages/') ? findBudgetProblems(tarball.manifest) : []),
    ...findFileProblems(tarball, update),
    ...(await findPublintProblems(tarball)),
    ...findTypeProblems(tarball),
  ];
  return problems.map((problem) => `${folder}: ${problem}`);
}

/** A library stays small by what it asks for. An app composes, and may ask for more. */
export function findBudgetProblems({ dependencies = {} }: Manifest): readonly string[] {
  const foreign = Object.keys(dependencies).filter((name) => !name.startsWith('@conductor-run/'));
  if (foreign.length <= maxRuntimeDependencies) return [];
  return [
    `has ${foreign.length} runtime dependencies (${foreign.join(', ')}), expected at most ${maxRuntimeDependencies}`,
  ];
}

/** The promises every package makes in its package.json, as users will read it. */
export function findManifestProblems(manifest: Manifest): readonly string[] {
  const { dependencies = {}, engines, license, version } = manifest;
  const local = Object.entries(dependencies).filter(([, range]) =>
    /^(?:workspace|catalog|file|link):/.test(range),
  );
  const problems = local.map(
    ([name, range]) => `depends on ${name} as "${range}", which only works in this repository`,
  );
  if (license !== 'Apache-2.0') problems.push(`has the license "${license}", expected "Apache-2.0"`);
  if (engines?.['node'] !== '^22.18 || >=24')
    problems.push(`runs on Node "${engines?.['node']}", expected "^22.18 || >=24"`);
  if (!version.startsWith('0.'))
    problems.push(`has the version ${version}, expected 0.x before 1.0 is decided`);
  return problems;
}

function findFileProblems({ workspacePackage, entries }: Tarball, update: boolean): readonly string[] {
  const missing = requiredFiles
    .filter((file) => !entries.includes(file))
    .map((file) => `the tarball has no ${file}`);
  const snapshot = join(workspacePackage.path, 'etc', 'files.txt');
  const current = summarizeEntries(entries);
  if (update) {
    mkdirSync(join(workspacePackage.path, 'etc'), { recursive: true });
    writeFileSync(snapshot, `${current.join('\n')}\n`);
    return missing;
  }
  if (!existsSync(snapshot))
    return [...missing, 'has no etc/files.txt: run pnpm run pack:update and review it'];
  const committed = readFileSync(snapshot, 'utf8').trim().split('\n');
  const changes = [
    ...committed.filter((line) => !current.includes(line)).map((line) => `- ${line}`),
    ...current.filter((line) => !committed.includes(line)).map((line) => `+ ${line}`),
  ];
  if (changes.length === 0) return missing;
  return [
    ...missing,
    `the tarball's files are not those of etc/files.txt: run pnpm run pack:update and review the diff\n  ${changes.join('\n  ')}`,
  ];
}

/** One line per source file: `dist/clock.{d.ts,d.ts.map,js,js.map}`. */
export function summarizeEntries(entries: readonly string[]): readonly string[] {
  const built = /^(dist\/.*?)\.((?:d\.ts|js)(?:\.map)?)$/;
  const endingsByStem = new Map<string, string[]>();
  for (const entry of entries) {
    const [, stem = entry, ending] = built.exec(entry) ?? [];
    const endings = endingsByStem.get(stem) ?? [];
    endingsByStem.set(stem, ending === undefined ? endings : [...endings, ending]);
  }
  return [...endingsByStem].map(([stem, endings]) => {
    return endings.length === 0 ? stem : `${stem}.{${endings.join(',')}}`;
  });
}

async function findPublintProblems({ file }: Tarball): Promise<readonly string[]> {
  const bytes = new Uint8Array(readFileSync(file)).buffer;
  const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true });
  return messages.map(
    (message) => `publint: ${formatMessage(message, pkg, { color: false }) ?? message.code}`,
  );
}

function findTypeProblems({ file, manifest, workspacePackage }: Tarball): readonly string[] {
  if (manifest.exports?.['.'] === undefined) return [];
  const args = [file, '--profile', 'esm-only', '--no-color', '--no-emoji', '--format', 'ascii'];
  const { passed, output } = runProgram(findTool('attw'), args, { cwd: workspacePackage.path });
  return passed ? [] : [`attw: ${output}`];
}

if (import.meta.main) {
  const update = process.argv.includes('--update');
  const problems: string[] = [];
  for (const tarball of packAll(repositoryRoot, join(repositoryRoot, 'temp', 'pack'))) {
    problems.push(...(await findPackProblems(tarball, update)));
  }
  report('check:pack', problems);
}
