/** Keeping, moving and forgetting, on the SQLite engine. */
import type { Clock } from '@conductor-run/clock';
import type { Database } from 'better-sqlite3';
import { backUpFiles } from './backup.ts';
import type { Gate } from './gate.ts';
import type { StoreUpkeep } from './job-store.ts';
import { prune, pruneSlots } from './prune.ts';
import { toJobStoreError } from './sqlite-errors.ts';
import { exportLines, importLines, type TransferFiles } from './sqlite-transfer.ts';
import type { Transactions } from './transactions.ts';

/** @internal What upkeep needs of its store. */
export interface UpkeepOptions {
  readonly path: string;
  readonly db: Database;
  readonly clock: Clock;
  readonly gate: Gate;
  readonly transactions: Transactions;
  /** Opens both files once more. */
  readonly openFiles: () => Promise<TransferFiles>;
  /** Begins a write transaction on both, waiting for other writers. */
  readonly beginWrite: (files: TransferFiles) => Promise<void>;
  /** Told when jobs may have become due. */
  readonly onImported: () => void;
}

/** @internal Upkeep, and the copy of the files. */
export interface Upkeep extends StoreUpkeep {
  backup(path: string): Promise<void>;
}

/** @internal */
export function createUpkeep(options: UpkeepOptions): Upkeep {
  const { path, clock, gate, openFiles } = options;
  return {
    prune: (request) => gate.run('prune', () => prune(options, request)),
    pruneSlots: (beforeMs) => gate.run('prune', async () => pruneSlots(options, beforeMs)),
    // On connections of their own: closing the store neither ends nor waits for an export or an import.
    async *exportLines() {
      gate.requireOpen();
      try {
        using files = await openFiles();
        yield* exportLines(files, clock.nowMs());
      } catch (error) {
        throw toJobStoreError('export', path, error);
      }
    },
    async importLines(lines) {
      gate.requireOpen();
      try {
        // Closing rolls back what was not committed.
        using files = await openFiles();
        await options.beginWrite(files);
        const count = await importLines(files, path, lines);
        options.onImported();
        return count;
      } catch (error) {
        throw toJobStoreError('import into', path, error);
      }
    },
    backup: (toPath) =>
      gate.run('back up', async () => {
        using files = await openFiles();
        const copies = [
          { source: files.main, path: toPath },
          // Later than the main file, so that its terms are not behind.
          { source: files.leadership, path: `${toPath}-leadership` },
        ];
        await backUpFiles(copies, ownPaths(path));
      }),
  };
}

function ownPaths(path: string): readonly string[] {
  const files = [path, `${path}-leadership`];
  return [`${path}-bell`, ...files.flatMap((file) => [file, `${file}-wal`, `${file}-shm`])];
}
