/** Repositories of many files, changes in them, and forgetting what a round left there. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What git and the package get instead of this process's environment. */
export type Environment = Readonly<Record<string, string>>;

export interface BenchRepository {
  readonly path: string;
  /** Back to the first commit, then 60 % modified, 30 % new, 10 % deleted, of which a twentieth are binary. */
  change(count: number): void;
  /** Removes what came after the first commit: objects of the round before would make the next one look fast. */
  forget(): void;
}

/** Who commits, and nothing in the background. */
export const PLAIN = ['-c', 'user.name=B', '-c', 'user.email=b@localhost', '-c', 'gc.auto=0'];

/** Makes a repository of so many text files of 1 to 14 KB in about a thousand folders, in one commit and one pack. */
export function generateRepository(path: string, files: number, env: Environment): BenchRepository {
  const git = (...args: string[]): Buffer =>
    execFileSync('git', [...PLAIN, ...args], { cwd: path, env: { ...env }, maxBuffer: 1 << 30 });
  mkdirSync(path);
  git('init', '--quiet');
  const line = 'some text that compresses like source code does, more or less\n';
  for (let index = 0; index < files; index++) {
    const folder = join(path, `d${index % 97}`, `e${index % 11}`);
    if (index < 97 * 11) mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `f${index}.txt`), `${index}\n${line.repeat(20 + (index % 200))}`);
  }
  git('add', '--all');
  git('commit', '--quiet', '--message=first');
  git('repack', '-adq');
  const packs = join(path, '.git/objects/pack');
  const own = new Set(readdirSync(packs));
  return {
    path,
    change(count) {
      git('reset', '--quiet', '--hard');
      git('clean', '-fdq');
      for (let index = 0; index < count; index++) changeOne(path, index);
    },
    forget() {
      git('prune', '--expire=now');
      for (const name of readdirSync(packs)) if (!own.has(name)) rmSync(join(packs, name), { force: true });
    },
  };
}

function changeOne(repo: string, index: number): void {
  const path = join(repo, `d${index % 97}`, `e${index % 11}`, `f${index}.txt`);
  const kind = index % 10;
  if (kind === 9) rmSync(path);
  else if (kind < 6) appendFileSync(path, `changed ${index}\n`);
  else {
    const content = index % 20 === 6 ? noise(index) : `new ${index}\n`.repeat(50);
    writeFileSync(join(repo, `d${index % 97}`, `new-${index}`), content);
  }
}

/** 50 KB that do not compress, different for each seed. */
function noise(seed: number): Buffer {
  const bytes = Buffer.alloc(50_000);
  let state = seed + 1;
  for (let index = 0; index < bytes.length; index += 4) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes.writeUInt32LE(state, index);
  }
  return bytes;
}
