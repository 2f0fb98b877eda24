// `pnpm run check:graph`: the layer table in ARCHITECTURE.md is the rule, and four things must agree with it:
// workspace dependencies in package.json, project references in tsconfig.json, the imports in the sources, and the
// tag that `turbo boundaries` goes by.

import { existsSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { report } from './report.ts';
import { type WorkspacePackage, listFiles, listPackages, readJson, repositoryRoot } from './workspace.ts';

/** A line of the layer table. */
export interface LayerRow {
  readonly layer: number;
  readonly name: string;
  /** Short names; `all` stands for every package in a lower layer. */
  readonly mayImport: readonly string[];
}

interface ProjectFile {
  readonly references?: readonly { readonly path: string }[];
}

/**
 * Reads the table whose header is `| layer | package | owns | may import |`.
 *
 * @throws Error when there is no such table, since an empty rule would let everything pass.
 */
export function parseLayerTable(markdown: string): readonly LayerRow[] {
  const lines = markdown.split('\n').map(cellsOf);
  const start = lines.findIndex(([layer, name]) => layer === 'layer' && name === 'package');
  if (start === -1)
    throw new Error('Cannot read ARCHITECTURE.md: it has no table "| layer | package | owns | may import |"');
  const end = lines.findIndex((cells, index) => index > start && cells.length === 0);
  return lines
    .slice(start + 2, end === -1 ? undefined : end)
    .map(([layer = '', name = '', , imports = '']) => ({
      layer: Number(layer.replace('L', '')),
      name: name.replaceAll('`', '').replace('apps/', ''),
      mayImport: imports
        .split(',')
        .map((word) => word.replaceAll('`', '').trim())
        .filter((word) => /^\w/.test(word)),
    }));
}

/** Compares a workspace with its own ARCHITECTURE.md. */
export function findGraphProblems(root: string): readonly string[] {
  const rows = parseLayerTable(readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8'));
  const packages = listPackages(root);
  const shortNames = new Map(packages.map(({ manifest, shortName }) => [manifest.name, shortName]));
  const problems = packages.map((workspacePackage) => {
    const row = rows.find(({ name }) => name === workspacePackage.shortName);
    if (row === undefined)
      return [[`${workspacePackage.folder} is not in the table of ARCHITECTURE.md: add its line`]];
    return [
      findDependencyProblems(workspacePackage, allowedFor(row, rows), shortNames),
      findImportProblems(root, workspacePackage, shortNames),
      findReferenceProblems(workspacePackage, shortNames),
      findTagProblems(workspacePackage, row),
    ];
  });
  return [rows.map((row) => findRowProblems(row, rows)), findBuildProblems(root, packages), problems].flat(3);
}

function findRowProblems(row: LayerRow, rows: readonly LayerRow[]): readonly string[] {
  if (!Number.isInteger(row.layer)) return [`ARCHITECTURE.md gives "${row.name}" no layer such as L0`];
  return row.mayImport
    .filter((name) => name !== 'all')
    .flatMap((name) => {
      const target = rows.find((other) => other.name === name);
      if (target === undefined)
        return [`ARCHITECTURE.md lets "${row.name}" import "${name}", which has no line of its own`];
      if (target.layer > row.layer)
        return [
          `ARCHITECTURE.md lets "${row.name}" (L${row.layer}) import up: "${name}" is L${target.layer}`,
        ];
      return [];
    });
}

function allowedFor(row: LayerRow, rows: readonly LayerRow[]): ReadonlySet<string> {
  if (!row.mayImport.includes('all')) return new Set(row.mayImport);
  return new Set(rows.filter(({ layer }) => layer < row.layer).map(({ name }) => name));
}

function findDependencyProblems(
  { folder, manifest }: WorkspacePackage,
  allowed: ReadonlySet<string>,
  shortNames: ReadonlyMap<string, string>,
): readonly string[] {
  const dependencies = Object.entries({ ...manifest.dependencies, ...manifest.peerDependencies });
  return dependencies.flatMap(([name, range]) => {
    const shortName = shortNames.get(name);
    if (shortName === undefined) return [];
    if (!range.startsWith('workspace:'))
      return [`${folder}/package.json takes ${name} as "${range}", expected "workspace:^"`];
    if (allowed.has(shortName)) return [];
    const list = [...allowed].join(', ') || 'nothing';
    return [`${folder}/package.json depends on ${name}, but ARCHITECTURE.md lets it import ${list}`];
  });
}

function findImportProblems(
  root: string,
  { folder, path, manifest }: WorkspacePackage,
  shortNames: ReadonlyMap<string, string>,
): readonly string[] {
  const runtime = { ...manifest.dependencies, ...manifest.peerDependencies };
  const anywhere = { ...runtime, ...manifest.devDependencies, [manifest.name]: '' };
  const places = [
    { files: listFiles(path, ['src/**/*.ts']), declared: runtime, where: 'dependencies' },
    { files: listFiles(path, ['{test,bench,demo}/**/*.ts']), declared: anywhere, where: 'devDependencies' },
  ];
  return places.flatMap(({ files, declared, where }) =>
    files.flatMap((file) =>
      importedPackages(readFileSync(file, 'utf8'))
        .filter((name) => shortNames.has(name) && !(name in declared))
        .map(
          (name) =>
            `${relative(root, file)} imports ${name}, which is not in the ${where} of ${folder}/package.json`,
        ),
    ),
  );
}

function findReferenceProblems(
  { folder, path, manifest }: WorkspacePackage,
  shortNames: ReadonlyMap<string, string>,
): readonly string[] {
  const file = join(path, 'tsconfig.json');
  if (!existsSync(file)) return [];
  const config = readJson(file) as ProjectFile;
  const referenced = (config.references ?? []).map((reference) => reference.path.split('/').at(-1) ?? '');
  const wanted = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies }).flatMap(
    (name) => shortNames.get(name) ?? [],
  );
  return [
    ...wanted
      .filter((name) => !referenced.includes(name))
      .map((name) => `${folder}/tsconfig.json does not reference "${name}", which package.json depends on`),
    ...referenced
      .filter((name) => !wanted.includes(name))
      .map((name) => `${folder}/tsconfig.json references "${name}", which package.json does not depend on`),
  ];
}

/** A package that the build does not know is a package nobody compiles. */
function findBuildProblems(root: string, packages: readonly WorkspacePackage[]): readonly string[] {
  const { references } = readJson(join(root, 'tsconfig.build.json')) as ProjectFile;
  const built = new Set((references ?? []).map((reference) => reference.path));
  return packages
    .filter(({ folder, path }) => existsSync(join(path, 'tsconfig.json')) && !built.has(folder))
    .map(({ folder }) => `tsconfig.build.json does not reference "${folder}"`);
}

function findTagProblems({ folder, path }: WorkspacePackage, row: LayerRow): readonly string[] {
  const file = join(path, 'turbo.json');
  const { tags } = (existsSync(file) ? readJson(file) : {}) as { readonly tags?: readonly string[] };
  const wanted = `l${row.layer}`;
  if (tags?.length === 1 && tags[0] === wanted) return [];
  return [
    `${folder}/turbo.json has the tags ${JSON.stringify(tags ?? [])}, expected ["${wanted}"] as in ARCHITECTURE.md`,
  ];
}

/** Package names in static and dynamic imports, re-exports and `import('...')` types. */
export function importedPackages(source: string): readonly string[] {
  const specifiers = source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^'.][^']*)'/g);
  const names = [...specifiers].map(([, specifier = '']) =>
    specifier
      .split('/')
      .slice(0, specifier.startsWith('@') ? 2 : 1)
      .join('/'),
  );
  return [...new Set(names)];
}

function cellsOf(line: string): readonly string[] {
  if (!line.startsWith('|')) return [];
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}

if (import.meta.main) report('check:graph', findGraphProblems(repositoryRoot));
