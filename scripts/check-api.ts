// `pnpm run check:api`: the public API of every published package, as API Extractor sees it, is the one in
// `etc/<name>.api.md`. A diff there is an API change, made on purpose with `pnpm run api:update` and reviewed as such.
//
// It reads the built declarations, so build first. Each key of `exports` that is a module has a report of its own.

import { existsSync, globSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import {
  CompilerState,
  Extractor,
  ExtractorConfig,
  ExtractorLogLevel,
  type ExtractorMessage,
} from '@microsoft/api-extractor';
import { report } from './report.ts';
import { type WorkspacePackage, listPublished, repositoryRoot } from './workspace.ts';

/** One entry point of a package: `.` or a subpath such as `./testing`. */
interface EntryPoint {
  /** Of the report, such as `job-store.api.md` or `job-store-testing.api.md`. */
  readonly reportFile: string;
  /** Absolute path of the built declarations. */
  readonly declarations: string;
}

/**
 * Compares every report with the built declarations.
 *
 * @param root - absolute path of the workspace, already built
 * @param update - rewrite the reports instead of complaining
 */
export function findApiProblems(root: string, update: boolean): readonly string[] {
  const packages = listPublished(root).map((workspacePackage) => {
    return { workspacePackage, entries: entryPointsOf(workspacePackage) };
  });
  const compilerState = compileTogether(packages.flatMap(({ entries }) => entries));
  return packages.flatMap(({ workspacePackage, entries }) => {
    const known = new Set(entries.map(({ reportFile }) => reportFile));
    const stale = globSync('etc/*.api.md', { cwd: workspacePackage.path }).filter(
      (file) => !known.has(basename(file)),
    );
    if (update) for (const file of stale) rmSync(join(workspacePackage.path, file));
    const complaints = update
      ? []
      : stale.map((file) => `${workspacePackage.folder}/${file} belongs to no entry point`);
    return complaints.concat(
      entries.flatMap((entry) => checkEntry(root, workspacePackage, entry, { update, compilerState })),
    );
  });
}

/** One program for all reports: most of what each would read and bind is the same, Node's types above all. */
function compileTogether(entries: readonly EntryPoint[]): CompilerState | undefined {
  const declarations = entries.map((entry) => entry.declarations).filter((file) => existsSync(file));
  const [first, ...additionalEntryPoints] = declarations;
  if (first === undefined) return undefined;
  const projectFolder = dirname(dirname(first));
  const config = ExtractorConfig.prepare({
    configObjectFullPath: join(projectFolder, 'api-extractor.json'),
    packageJsonFullPath: join(projectFolder, 'package.json'),
    configObject: {
      projectFolder,
      mainEntryPointFilePath: first,
      compiler: { overrideTsconfig: { compilerOptions, files: [first] } },
    },
  });
  return CompilerState.create(config, { additionalEntryPoints });
}

function entryPointsOf({ path, shortName, manifest }: WorkspacePackage): readonly EntryPoint[] {
  return Object.entries(manifest.exports ?? {})
    .filter(([, target]) => target.endsWith('.ts'))
    .map(([key, target]) => ({
      reportFile: `${[shortName, ...key.split('/').slice(1)].join('-')}.api.md`,
      declarations: join(path, target.replace('./src/', 'dist/').replace(/\.ts$/, '.d.ts')),
    }));
}

function checkEntry(
  root: string,
  workspacePackage: WorkspacePackage,
  { reportFile, declarations }: EntryPoint,
  { update, compilerState }: { readonly update: boolean; readonly compilerState: CompilerState | undefined },
): readonly string[] {
  const { folder, path } = workspacePackage;
  if (!existsSync(declarations)) return [`${folder} is not built: run pnpm run build`];
  const temp = join(root, 'temp', 'api', workspacePackage.shortName);
  mkdirSync(join(path, 'etc'), { recursive: true });
  mkdirSync(temp, { recursive: true });

  const config = ExtractorConfig.prepare({
    configObjectFullPath: join(path, 'api-extractor.json'),
    packageJsonFullPath: join(path, 'package.json'),
    configObject: {
      projectFolder: path,
      mainEntryPointFilePath: declarations,
      newlineKind: 'lf',
      compiler: { overrideTsconfig: { compilerOptions, files: [declarations] } },
      apiReport: {
        enabled: true,
        reportFileName: reportFile,
        reportFolder: join(path, 'etc'),
        reportTempFolder: temp,
      },
      docModel: { enabled: false },
      dtsRollup: { enabled: false },
      tsdocMetadata: { enabled: false },
      messages: {
        compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
        extractorMessageReporting: {
          default: { logLevel: ExtractorLogLevel.Error },
          // We publish no @public/@beta tags: what index.ts exports is public.
          'ae-missing-release-tag': { logLevel: ExtractorLogLevel.None },
          // Here another package of ours resolves to its sources; its own report looks at its declarations.
          'ae-wrong-input-file-type': { logLevel: ExtractorLogLevel.None },
        },
        tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
      },
    },
  });
  const before = existsSync(join(path, 'etc', reportFile));
  const problems: string[] = [];
  const result = Extractor.invoke(config, {
    localBuild: update,
    ...(compilerState === undefined ? {} : { compilerState }),
    messageCallback: (message) => {
      message.handled = true;
      if (message.messageId === 'ae-undocumented' && selfExplaining.test(message.text)) return;
      if (message.messageId === 'ae-forgotten-export' && mainExports(path, message.text)) return;
      if (message.logLevel === ExtractorLogLevel.Error)
        problems.push(`${folder}: ${describe(message, path)}`);
    },
  });
  if (!update && (!before || result.apiReportChanged)) {
    const changes = before ? `\n${firstChanges(join(path, 'etc', reportFile), join(temp, reportFile))}` : '';
    problems.push(
      `${folder}/etc/${reportFile} is not the API that was built: run pnpm run api:update and review the diff${changes}`,
    );
  }
  return problems;
}

/** A subpath such as ./testing may speak of what the package's main entry point exports. */
function mainExports(path: string, text: string): boolean {
  const symbol = /The symbol "(\w+?)(?:_\d+)?"/.exec(text)?.[1];
  if (symbol === undefined || text.includes('entry point index.d.ts')) return false;
  const main = readFileSync(join(path, 'dist', 'index.d.ts'), 'utf8');
  return new RegExp(`\\b${symbol}\\b`).test(main);
}

function describe(message: ExtractorMessage, path: string): string {
  const file = message.sourceFilePath?.replace(`${path}/`, '');
  const place = file === undefined ? '' : `${file}:${message.sourceFileLine ?? 0} `;
  return `${place}${message.text} (${message.messageId})`;
}

/** The first lines only one of the two reports has: enough to see what changed without opening them. */
function firstChanges(committed: string, built: string): string {
  const [old, current] = [committed, built].map((file) => readFileSync(file, 'utf8').split('\n'));
  const removed = (old ?? [])
    .filter((line) => current?.includes(line) === false)
    .map((line) => `  - ${line}`);
  const added = (current ?? []).filter((line) => old?.includes(line) === false).map((line) => `  + ${line}`);
  return [...removed, ...added].slice(0, 12).join('\n');
}

/** The getter every error class overrides, and what tells the members of a union apart: their values say it all. */
const selfExplaining = /"(?:name|kind|type|outcome)"/;

/** Enough to resolve what a declaration file imports; the strict checks were tsc's. */
const compilerOptions = {
  module: 'nodenext',
  target: 'es2023',
  lib: ['es2023', 'esnext.disposable'],
  types: ['node'],
  strict: true,
  skipLibCheck: true,
  allowImportingTsExtensions: true,
  noEmit: true,
};

if (import.meta.main) report('check:api', findApiProblems(repositoryRoot, process.argv.includes('--update')));
