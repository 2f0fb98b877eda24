/** The door through which index lines come back in. Invariant: what passes has every field its type promises. */
import { z } from 'zod';
import type { CheckpointRecord } from './record.ts';

/** @internal The refs of one run in one repository. */
export interface RunRefs {
  /** The common git directory. */
  readonly repository: string;
  readonly runId: string;
}

/** @internal A line that says what was pruned. */
export interface PruneMark {
  readonly pruned: {
    readonly at: string;
    readonly nextSeq: number;
    /** Where refs of removed records may be left. */
    readonly owedRefs: readonly RunRefs[];
  };
}

/** @internal `undefined` for a line that is no record: torn by a crash, or not ours. */
export function parseIndexLine(line: string, directory: string): CheckpointRecord | PruneMark | undefined {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  const mark = pruneMarkSchema.safeParse(value);
  if (mark.success) return mark.data;
  const record = recordSchema.safeParse(value);
  return record.success ? { ...dropUndefined(record.data), directory } : undefined;
}

/** An optional field is absent, never `undefined`; zod's type cannot say so. */
function dropUndefined(record: z.output<typeof recordSchema>): StoredRecord {
  return record as StoredRecord;
}

type Stored<Type> = Type extends CheckpointRecord ? Omit<Type, 'directory'> : never;
type StoredRecord = Stored<CheckpointRecord>;

const pathShape = { path: z.string(), pathBase64: z.string().optional() };
const oid = z.string().regex(/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/);
const common = {
  checkpointId: z.string(),
  taskId: z.string(),
  stepId: z.string(),
  runId: z.string(),
  seq: z.int().min(1),
  summary: z.string(),
  createdAt: z.iso.datetime(),
  resumedFrom: z.string().optional(),
  files: z.array(
    z.object({
      // Joined to the folder when read, so it must not lead out of it.
      fileName: z.string().regex(/^\d{4,}\/[A-Za-z0-9][A-Za-z0-9._-]*$/),
      format: z.string(),
      mediaType: z.string(),
      bytes: z.int().min(0),
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
};

/** Part of ref names, so it must not lead out of them. */
const RUN_ID = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

const gitDiffSchema = z.object({
  ...common,
  type: z.literal('git_diff'),
  worktree: z.string(),
  repository: z.string(),
  baseRef: z.string(),
  baseCommit: oid.nullable(),
  baseTree: oid,
  branch: z.string().nullable(),
  tree: oid,
  commit: oid,
  ref: z.string().regex(/^refs\/conductor\/[A-Za-z0-9][A-Za-z0-9._-]*\/\d+$/),
  unchangedSince: z.int().min(1).optional(),
  diffStat: z.object({ filesChanged: z.int(), insertions: z.int(), deletions: z.int() }),
  index: z.object({ tree: oid.nullable() }).optional(),
  leftOut: z.array(
    z.object({
      ...pathShape,
      reason: z.enum([
        'too-large',
        'total-too-large',
        'too-many-files',
        'nested-repository',
        'submodule-changed',
        'special-file',
        'unreadable',
        'filtered',
        'refused-name',
      ]),
      bytes: z.int().optional(),
      pathSha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional(),
    }),
  ),
  secretPaths: z.array(z.object(pathShape)),
  rawPaths: z.array(z.object(pathShape)),
  replay: z.object({
    strategy: z.literal('git_apply_binary'),
    args: z.array(z.string()),
    baseRef: oid.nullable(),
    expectTree: oid,
  }),
});

const recordSchema = z.discriminatedUnion('type', [
  z.object({
    ...common,
    type: z.literal('summary'),
    detail: z.string().optional(),
    json: z.unknown().optional(),
    replay: z.null(),
  }),
  z.object({
    ...common,
    type: z.literal('log_tail'),
    source: z.enum(['worker', 'stdout', 'stderr', 'combined']),
    lines: z.array(z.string()),
    truncated: z.boolean(),
    replay: z.null(),
  }),
  gitDiffSchema,
  z.object({
    ...common,
    type: z.literal('test_output'),
    format: z.enum(['junit', 'tap', 'vitest-json', 'jest-json']),
    totals: z.object({ total: z.int(), passed: z.int(), failed: z.int(), skipped: z.int() }),
    failures: z.array(z.object({ name: z.string(), message: z.string(), file: z.string().optional() })),
    truncated: z.boolean(),
    replay: z.null(),
  }),
]);

const pruneMarkSchema = z.object({
  pruned: z.object({
    at: z.string(),
    nextSeq: z.int().min(1),
    owedRefs: z.array(z.object({ repository: z.string(), runId: z.string().regex(RUN_ID) })).default([]),
  }),
});
