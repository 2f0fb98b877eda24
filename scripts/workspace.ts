// What the checks know about this repository: its packages, read from their package.json files.
// No check keeps a list of names; a new folder under packages/ or apps/ is covered by being there.

import { existsSync, globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The fields of a package.json the checks read. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly license?: string;
  readonly files?: readonly string[];
  readonly engines?: Readonly<Record<string, string>>;
  readonly exports?: Readonly<Record<string, string>>;
  readonly publishConfig?: {
    readonly access?: string;
    readonly exports?: Readonly<Record<string, unknown>>;
  };
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** One folder of the workspace. */
export interface WorkspacePackage {
  /** Relative to the root with forward slashes, such as `packages/clock`; for messages. */
  readonly folder: string;
  /** Absolute. */
  readonly path: string;
  /** The name without its scope, such as `clock`: what the layer table calls it. */
  readonly shortName: string;
  readonly manifest: Manifest;
}

/** The repository this file belongs to. */
export const repositoryRoot: string = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Lists every package of a workspace, sorted by folder.
 *
 * @param root - absolute path of the workspace; a fixture in tests
 */
export function listPackages(root: string): readonly WorkspacePackage[] {
  return globSync(['packages/*/package.json', 'apps/*/package.json'], { cwd: root })
    .toSorted()
    .map((file) => {
      const folder = dirname(file).replaceAll('\\', '/');
      const manifest = readJson(join(root, file)) as Manifest;
      return { folder, path: join(root, folder), shortName: basename(folder), manifest };
    });
}

/** The packages that go to the registry. */
export function listPublished(root: string): readonly WorkspacePackage[] {
  return listPackages(root).filter(({ manifest }) => manifest.private !== true);
}

/** Files below a package's folder that match, absolute and sorted; build output and dependencies excluded. */
export function listFiles(folder: string, patterns: readonly string[]): readonly string[] {
  if (!existsSync(folder)) return [];
  return globSync([...patterns], { cwd: folder, exclude: ['**/node_modules/**', '**/dist/**', '**/temp/**'] })
    .toSorted()
    .map((file) => join(folder, file));
}

/** Reads a JSON file of this repository; the caller says what it holds, since we wrote it ourselves. */
export function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'));
}
