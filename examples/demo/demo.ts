/**
 * The main job on real input: a two-step job in a real git work tree, run by the real command line on embedded defaults.
 * It ends with a proof made by plain git alone: base commit + recorded patch = the tree the job left.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { styleText } from 'node:util';

const BIN = path.join(import.meta.dirname, '../../apps/conductor/src/bin.ts');
const CONDUCTOR = path.join(import.meta.dirname, '../../bin/conductor');

/** What the demo reads of `runs list --json` and `checkpoints list --json`. */
interface Run {
  readonly runId: string;
  readonly taskId: string;
  readonly runDir: string;
  readonly stepName: string;
}
interface Checkpoint {
  readonly type: string;
  readonly seq: number;
  readonly tree: string;
  readonly baseCommit: string;
  readonly worktree: string;
  readonly directory: string;
  readonly files: readonly { readonly fileName: string; readonly format: string }[];
}

// The job the demo runs: one step edits, the next one runs the repository's own tests.
const CONFIG = `jobs:
  improve:
    description: Edit the code, then run its tests
    worktree: { base: main }
    steps:
      - { name: edit, command: [node, scripts/edit.mjs] }
      - { name: test, command: [node, --test] }
    timeout: 1m
`;

const home = realpathSync(mkdtempSync(path.join(tmpdir(), 'conductor-demo-')));
const repo = path.join(home, 'temperature');

title('1  A small git repository with real files');
makeRepository();
console.log(git(repo, ['ls-files']).trimEnd().replaceAll(/^/gm, '  '));

title('2  Conductor runs a two-step job on it, in a work tree of its own');
show(['run', 'improve']);

title('3  What was kept');
const [edit, test] = runsInOrder();
printTree(edit.runDir);
console.log('\n$ cat state.json');
process.stdout.write(readFileSync(path.join(edit.runDir, 'state.json'), 'utf8'));
show(['jobs', 'list']);
show(['runs', 'list']);
show(['runs', 'logs', test.runId, '--tail', '8']);
show(['checkpoints', 'list', edit.runId]);
show(['runs', 'diff', edit.runId]);

title('4  The proof: plain git, a fresh clone, the recorded patch');
prove(lastSnapshot(edit.runId));

console.log(`\nThe record lies in ${edit.runDir}\nNext: cd ${repo} && ${CONDUCTOR} runs show last`);

function makeRepository(): void {
  cpSync(path.join(import.meta.dirname, 'repository'), repo, { recursive: true });
  writeFileSync(
    path.join(repo, 'logo.bin'),
    Buffer.from(Array.from({ length: 512 }, (_, index) => index % 256)),
  );
  writeFileSync(path.join(repo, 'conductor.yaml'), CONFIG);
  git(repo, ['init', '--quiet', '--initial-branch=main']);
  git(repo, ['add', '--all']);
  git(repo, ['commit', '--quiet', '--message=Start']);
}

/** Shows a command and runs it on this terminal. */
function show(args: readonly string[]): void {
  console.log(`\n$ conductor ${args.join(' ')}`);
  const { status } = spawnSync(process.execPath, [BIN, ...args], { cwd: repo, stdio: 'inherit' });
  if (status !== 0) fail(`conductor ${args.join(' ')} ended with exit code ${String(status)}`);
}

function readJson(args: readonly string[]): unknown {
  return JSON.parse(
    execFileSync(process.execPath, [BIN, ...args, '--json'], { cwd: repo, encoding: 'utf8' }),
  );
}

function runsInOrder(): [Run, Run] {
  const { runs } = readJson(['runs', 'list']) as { readonly runs: readonly Run[] };
  const [second, first] = runs;
  if (first === undefined || second === undefined) fail('expected two runs');
  return [first, second];
}

function lastSnapshot(runId: string): Checkpoint {
  const { checkpoints } = readJson(['checkpoints', 'list', runId]) as {
    readonly checkpoints: readonly Checkpoint[];
  };
  const snapshot = checkpoints.findLast((checkpoint) => checkpoint.type === 'git_diff');
  return snapshot ?? fail('expected a git checkpoint');
}

/** Three ways to the same tree: what was recorded, what lies there, what the patch makes of a fresh clone. */
function prove(snapshot: Checkpoint): void {
  const patch = snapshot.files.find((file) => file.format === 'git-patch') ?? fail('expected a patch file');
  const fresh = path.join(home, 'fresh');
  git(home, ['clone', '--quiet', repo, fresh]);
  git(fresh, ['checkout', '--quiet', '--detach', snapshot.baseCommit]);
  git(fresh, ['apply', '--index', '--binary', path.join(snapshot.directory, patch.fileName)]);
  const replayed = git(fresh, ['write-tree']).trim();
  const left = treeOf(snapshot.worktree);
  console.log(`  recorded in the checkpoint        ${snapshot.tree}`);
  console.log(`  the files as the job left them    ${left}`);
  console.log(`  the patch on a fresh clone        ${replayed}`);
  if (snapshot.tree !== left || snapshot.tree !== replayed)
    fail('the three trees differ: the record is not exact');
  console.log(styleText('green', '  equal: the record is exact'));
}

/** The tree of everything in a work tree, through an index of its own. */
function treeOf(worktree: string): string {
  const index = path.join(home, 'index');
  git(worktree, ['add', '--all'], { GIT_INDEX_FILE: index });
  const tree = git(worktree, ['write-tree'], { GIT_INDEX_FILE: index }).trim();
  rmSync(index);
  return tree;
}

function printTree(directory: string, indent = '  '): void {
  console.log(`${indent}${path.basename(directory)}/`);
  for (const entry of readdirSync(directory, { withFileTypes: true }).toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  )) {
    const full = path.join(directory, entry.name);
    if (entry.isDirectory()) printTree(full, `${indent}  `);
    else console.log(`${indent}  ${entry.name.padEnd(28)}${String(statSync(full).size).padStart(8)} bytes`);
  }
}

function git(cwd: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): string {
  const inherited = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !name.startsWith('GIT_')),
  );
  const identity = { GIT_AUTHOR_NAME: 'demo', GIT_AUTHOR_EMAIL: 'demo@example.invalid' };
  const committer = { GIT_COMMITTER_NAME: 'demo', GIT_COMMITTER_EMAIL: 'demo@example.invalid' };
  return execFileSync('git', args, {
    cwd,
    encoding: 'utf8',
    env: { ...inherited, ...identity, ...committer, ...env },
  });
}

function title(text: string): void {
  console.log(`\n${styleText('bold', text)}`);
}

function fail(reason: string): never {
  console.error(`demo: ${reason}`);
  process.exit(1);
}
