// What users get: every published package as the tarball that `pnpm publish` would send.

import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { runPnpm } from './pnpm.ts';
import { type Manifest, type WorkspacePackage, listPublished } from './workspace.ts';

/** One packed package. */
export interface Tarball {
  readonly workspacePackage: WorkspacePackage;
  /** Absolute path of the .tgz. */
  readonly file: string;
  /** The package.json inside, where `workspace:` and `catalog:` have become versions and `exports` point at dist. */
  readonly manifest: Manifest;
  /** Paths inside, sorted, without the leading `package/`. */
  readonly entries: readonly string[];
}

/**
 * Packs every published package.
 *
 * @param root - absolute path of the workspace, already built
 * @param folder - where the tarballs go; emptied first
 */
export function packAll(root: string, folder: string): readonly Tarball[] {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return listPublished(root).map((workspacePackage) => {
    const { name, version } = workspacePackage.manifest;
    runPnpm(workspacePackage.path, ['pack', '--pack-destination', folder]);
    const file = join(folder, `${name.replace('@', '').replace('/', '-')}-${version}.tgz`);
    return openTarball(workspacePackage, file);
  });
}

/** Reads what a tarball holds. */
export function openTarball(workspacePackage: WorkspacePackage, file: string): Tarball {
  const list = execFileSync('tar', ['-tzf', file], { encoding: 'utf8' }).trim().split('\n');
  const manifest = execFileSync('tar', ['-xzOf', file, 'package/package.json'], { encoding: 'utf8' });
  return {
    workspacePackage,
    file,
    manifest: JSON.parse(manifest) as Manifest,
    entries: list.map((entry) => entry.replace('package/', '')).toSorted(),
  };
}
