/**
 * Building a tree and its commit with one `git fast-import`.
 * Invariant: blobs go in as the bytes they are; nothing exists for anyone else until the process ended well.
 */
import { quoteForGit, type BytePath } from './byte-path.ts';
import { CheckpointError } from './errors.ts';
import { emptyTree } from './git-repository.ts';
import type { GitView } from './git-view.ts';

/** @internal */
export interface ImportedTree {
  readonly commit: string;
  readonly tree: string;
}

/** @internal */
export interface TreeImport {
  remove(path: BytePath): Promise<void>;
  /** `bytes` may be reused by the caller once this resolves. */
  add(path: BytePath, mode: string, bytes: Uint8Array): Promise<void>;
  /** Adds a blob that is there already. */
  link(path: BytePath, mode: string, oid: string): Promise<void>;
  finish(): Promise<ImportedTree>;
  abort(): Promise<void>;
}

/** @internal */
export interface ImportOptions {
  /** The commit whose tree is changed; `undefined` starts from nothing. */
  readonly base: string | undefined;
  /** Further parents. */
  readonly otherParents?: readonly string[];
  readonly message: string;
  readonly atMs: number;
}

/** @internal */
export async function startTreeImport(view: GitView, options: ImportOptions): Promise<TreeImport> {
  const feed = view.feed({
    args: ['fast-import', '--quiet', '--force', '--done', '--depth=0', '--date-format=raw'],
  });
  const batch = Buffer.allocUnsafe(BATCH_BYTES);
  let used = 0;

  const flush = async (): Promise<void> => {
    if (used > 0) await feed.write(batch.subarray(0, used));
    used = 0;
  };
  const append = async (bytes: Uint8Array): Promise<void> => {
    if (used + bytes.length > BATCH_BYTES) await flush();
    if (bytes.length > BATCH_BYTES) {
      await feed.write(bytes);
      return;
    }
    batch.set(bytes, used);
    used += bytes.length;
  };
  const line = (text: string): Promise<void> => append(Buffer.from(`${text}\n`, 'latin1'));

  const message = Buffer.from(options.message, 'utf8');
  await line(`feature done\ncommit ${IMPORT_REF}\nmark :1`);
  await line(`committer Conductor <conductor@localhost> ${Math.floor(options.atMs / 1000)} +0000`);
  await line(`data ${message.length}`);
  await append(message);
  await line('');
  if (options.base !== undefined) await line(`from ${options.base}`);
  for (const parent of options.otherParents ?? []) await line(`merge ${parent}`);

  return {
    remove: (path) => line(`D ${quoteForGit(path)}`),
    async add(path, mode, bytes) {
      await line(`M ${mode} inline ${quoteForGit(path)}\ndata ${bytes.length}`);
      await append(bytes);
      await line('');
    },
    link: (path, mode, oid) => line(`M ${mode} ${oid} ${quoteForGit(path)}`),
    async finish() {
      await line('\nget-mark :1\nls :1 ""\ndone');
      await flush();
      feed.end();
      return parseAnswer((await feed.result).stdout.toString('latin1'));
    },
    abort: () => feed.stop(),
  };
}

/** The mark's commit on one line, `040000 tree <oid>\t` on the next; an empty tree is `missing `. */
function parseAnswer(answer: string): ImportedTree {
  const match = /^([0-9a-f]+)\n(?:040000 tree ([0-9a-f]+)\t)?/.exec(answer);
  if (match?.[1] === undefined) {
    throw new CheckpointError(
      'git-failed',
      `Cannot read the answer of git fast-import "${answer.slice(0, 120)}": expected a commit and a tree`,
    );
  }
  const [, commit, tree] = match;
  return { commit, tree: tree ?? emptyTree(commit.length === 64 ? 'sha256' : 'sha1') };
}

const IMPORT_REF = 'refs/snapshot';
const BATCH_BYTES = 1024 * 1024;
