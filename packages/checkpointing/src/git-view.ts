/**
 * A private git directory through which a repository is looked at.
 * Its configuration is ours alone, so no filter, hook, fsmonitor, textconv, external diff or alias of the repository or the
 * user exists in it; its objects are written privately and read from the repository.
 * Invariant: nothing run through a view writes outside the view, except into a work tree it was explicitly pointed at.
 */
import { mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { quoteForGit, textToBytePath } from './byte-path.ts';
import type { Git, GitCommand, GitFeed, GitResult } from './git-process.ts';
import type { Repository } from './git-repository.ts';

/** @internal What a view runs; `env` is added to the view's own. */
export type ViewCommand = Omit<GitCommand, 'cwd'> & { readonly cwd?: string };

/** @internal */
export interface GitView {
  readonly gitDir: string;
  readonly objectsDir: string;
  /**
   * A path for an index of the view's own. Whoever needs an index says which one: by default commands get one that does
   * not exist, since git takes a file of the work tree for its blob when an index says they are the same.
   */
  indexPath(name: string): string;
  run(command: ViewCommand): Promise<GitResult>;
  feed(command: ViewCommand): GitFeed;
}

/** @internal */
export interface ViewOptions {
  /** Where to make it; must not exist. The caller removes it. */
  readonly directory: string;
  /** The commit that is HEAD in the view; `undefined` before the first commit. */
  readonly head: string | undefined;
  /**
   * `raw`: files are bytes, whatever .gitattributes says. `checkout`: line endings and encodings as the repository's
   * attributes say; filters stay without effect, since the view defines none.
   */
  readonly conversions: 'raw' | 'checkout';
  /** The work tree its commands see; the repository's own when absent. */
  readonly worktree?: string;
}

/** @internal */
export function createView(git: Git, repo: Repository, options: ViewOptions): GitView {
  const { directory } = options;
  // A dozen tiny files: waiting for each in turn costs more than making them.
  for (const name of ['objects/info', 'refs', 'info']) {
    mkdirSync(join(directory, name), { recursive: true, mode: 0o700 });
  }
  writeFileSync(join(directory, 'HEAD'), `${options.head ?? 'ref: refs/heads/none'}\n`);
  writeFileSync(join(directory, 'config'), viewConfig(repo, options.conversions));
  const alternates = `${quoteForGit(textToBytePath(repo.objectsDir))}\n`;
  writeFileSync(join(directory, 'objects/info/alternates'), alternates);
  if (options.conversions === 'raw') writeFileSync(join(directory, 'info/attributes'), RAW_ATTRIBUTES);
  else symlinkSync(join(repo.commonDir, 'info/attributes'), join(directory, 'info/attributes'));
  symlinkSync(join(repo.commonDir, 'info/exclude'), join(directory, 'info/exclude'));
  symlinkSync(join(repo.gitDir, 'info/sparse-checkout'), join(directory, 'info/sparse-checkout'));
  linkSharedIndexes(repo.gitDir, directory);

  const worktree = options.worktree ?? repo.topLevel;
  const prepare = (command: ViewCommand): GitCommand => ({
    ...command,
    cwd: command.cwd ?? worktree,
    env: {
      GIT_DIR: directory,
      GIT_WORK_TREE: worktree,
      GIT_INDEX_FILE: join(directory, 'no-index'),
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_ATTR_NOSYSTEM: '1',
      ...command.env,
    },
  });
  return {
    gitDir: directory,
    objectsDir: join(directory, 'objects'),
    indexPath: (name) => join(directory, `${name}.index`),
    run: (command) => git.run(prepare(command)),
    feed: (command) => git.feed(prepare(command)),
  };
}

/** @internal */
export function removeView(view: GitView): void {
  rmSync(view.gitDir, { recursive: true, force: true });
}

/** A split index names its shared part relative to the git directory. */
function linkSharedIndexes(gitDir: string, directory: string): void {
  for (const name of readdirSync(gitDir)) {
    if (name.startsWith('sharedindex.')) symlinkSync(join(gitDir, name), join(directory, name));
  }
}

function viewConfig(repo: Repository, conversions: ViewOptions['conversions']): string {
  const lines = [
    '[core]',
    `repositoryformatversion = ${repo.objectFormat === 'sha256' ? 1 : 0}`,
    'bare = false',
    'untrackedCache = false',
    'safecrlf = false',
    // Names that only Windows takes for `.git`, such as `git~1`, are names like others here.
    'protectNTFS = false',
    'looseCompression = 1',
    // Whoever moves an object into the repository sees to that.
    'fsync = none',
    '[pack]',
    'compression = 1',
    '[fastimport]',
    'unpackLimit = 0',
  ];
  for (const [name, value] of repo.settings) {
    const isConversion = name === 'core.autocrlf' || name === 'core.eol';
    if (!name.startsWith('core.') || (isConversion && conversions === 'raw')) continue;
    lines.push('[core]', `${name.slice('core.'.length)} = ${quoteConfigValue(value)}`);
  }
  if (repo.objectFormat === 'sha256') lines.push('[extensions]', 'objectFormat = sha256');
  return `${lines.join('\n')}\n`;
}

function quoteConfigValue(value: string): string {
  const escaped = value
    .replaceAll('\\', '\\\\')
    .replaceAll('"', '\\"')
    .replaceAll('\n', '\\n')
    .replaceAll('\t', '\\t');
  return `"${escaped}"`;
}

/** `info/attributes` wins over every .gitattributes of the work tree. */
const RAW_ATTRIBUTES = '* -text -eol -filter -ident -working-tree-encoding !diff !merge !whitespace\n';
