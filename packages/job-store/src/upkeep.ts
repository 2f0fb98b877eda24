/** Keeping, moving and forgetting, on the SQLite engine. */
import type { Clock } from '@conductor-run/clock';
import type { Database } from 'better-sqlite3';
import { backUpFiles } from './backup.ts';
import type { StoreUpkeep } from './job-store.ts';
import { prune, pruneSlots } from './prune.ts';
import type { SlotStatements } from './slot-statements.ts';
import { toJobStoreError } from './sqlite-errors.ts';
import { exportLines, importLines, type TransferFiles } from './sqlite-transfer.ts';
import type { Transactions } from './transactions.ts';

/** @internal What upkeep needs of its store. */
export interface UpkeepOptions {
  readonly path: string;
  readonly db: Database;
  readonly clock: Clock;
  readonly transactions: Transactions;
  readonly slots: SlotStatements;
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
  const { path, clock, openFiles } = options;
  return {
    prune: (request) => prune(options, request),
    pruneSlots: async (beforeMs) => pruneSlots(options, beforeMs),
    async *exportLines() {
      try {
        using files = await openFiles();
        yield* exportLines(files, clock.nowMs());
      } catch (error) {
        throw toJobStoreError('export', path, error);
      }
    },
    async importLines(lines) {
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
    async backup(toPath) {
      try {
        using files = await openFiles();
        const copies = [
          { source: files.main, path: toPath },
          // Later than the main file, so that its terms are not behind.
          { source: files.leadership, path: `${toPath}-leadership` },
        ];
        await backUpFiles(copies, ownPaths(path));
      } catch (error) {
        throw toJobStoreError('back up', path, error);
      }
    },
  };
}

function ownPaths(path: string): readonly string[] {
  const files = [path, `${path}-leadership`];
  return [`${path}-bell`, ...files.flatMap((file) => [file, `${file}-wal`, `${file}-shm`])];
}
