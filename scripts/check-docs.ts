// `pnpm run check:docs`: documents that cannot lie quietly.
// Examples compile and run, error tables name the codes there are, links lead somewhere, every package has its papers.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { type DocExample, readExamples, writeExample } from './doc-examples.ts';
import { cleanEnvironment, findTool, runProgram } from './pnpm.ts';
import { report } from './report.ts';
import { type WorkspacePackage, listFiles, listPackages, repositoryRoot } from './workspace.ts';

/** Runs every check on the documents of a workspace. */
export function findDocProblems(root: string): readonly string[] {
  const packages = listPackages(root);
  const documents = listFiles(root, ['*.md', 'docs/**/*.md', '{packages,apps,examples}/*/**/*.md']).filter(
    (file) => !file.endsWith('CHANGELOG.md') && !file.endsWith('.api.md'),
  );
  return [
    ...packages.flatMap((workspacePackage) => findPaperProblems(root, workspacePackage)),
    ...packages.flatMap(findErrorTableProblems),
    ...documents.flatMap((document) => findLinkProblems(root, document)),
    ...documents.flatMap(readExamples).flatMap((example) => findSyntaxProblems(root, example)),
    ...findExampleProblems(root, documents, packages),
  ];
}

function findPaperProblems(root: string, { folder, path }: WorkspacePackage): readonly string[] {
  const license = join(path, 'LICENSE');
  const wanted = join(root, 'LICENSE');
  const problems: string[] = [];
  if (!existsSync(join(path, 'README.md'))) problems.push(`${folder} has no README.md`);
  if (!existsSync(license) || readFileSync(license, 'utf8') !== readFileSync(wanted, 'utf8'))
    problems.push(`${folder}/LICENSE is not the LICENSE of the repository: run pnpm run docs:update`);
  return problems;
}

/** Compares the `| code | when |` table of a README with the `…ErrorCode` union of that package. */
export function findErrorTableProblems({ folder, path }: WorkspacePackage): readonly string[] {
  const [errors, readme] = [join(path, 'src/errors.ts'), join(path, 'README.md')];
  if (!existsSync(errors) || !existsSync(readme)) return [];
  const source = readFileSync(errors, 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
  const union = /export type (\w+ErrorCode)\s*=([^;]+);/.exec(source);
  if (union === null) return [];
  const codes = new Set([...(union[2] ?? '').matchAll(/'([^']+)'/g)].map(([, code = '']) => code));
  const documented = new Set(tableCodes(readFileSync(readme, 'utf8')));
  const missing = [...codes].filter((code) => !documented.has(code));
  const invented = [...documented].filter((code) => !codes.has(code));
  return [
    ...missing.map((code) => `${folder}/README.md does not explain the error code "${code}" of ${union[1]}`),
    ...invented.map((code) => `${folder}/README.md explains "${code}", which ${union[1]} does not have`),
  ];
}

function tableCodes(markdown: string): readonly string[] {
  const lines = markdown.split('\n');
  const start = lines.findIndex((line) => /^\|\s*code\s*\|\s*when\s*\|/i.test(line));
  if (start === -1) return [];
  const end = lines.findIndex((line, index) => index > start && !line.startsWith('|'));
  const rows = lines.slice(start + 2, end === -1 ? undefined : end);
  return rows.map((line) => (line.split('|')[1] ?? '').replaceAll('`', '').trim());
}

/** Relative links must lead to a file, and a `#part` of a Markdown file to one of its headings. */
export function findLinkProblems(root: string, document: string): readonly string[] {
  const text = readFileSync(document, 'utf8')
    .replaceAll(/^```[\s\S]*?^```$/gm, '')
    .replaceAll(/`[^`\n]*`/g, '');
  const links = [...text.matchAll(/\]\(([^()\s]+)(?:\s+"[^"]*")?\)/g)].map(([, target = '']) => target);
  return links
    .filter((target) => !/^[a-z]+:/i.test(target))
    .flatMap((target) => {
      const [file = '', part] = target.split('#');
      const path = file === '' ? document : resolve(dirname(document), decodeURI(file));
      const where = `${relative(root, document)} links to "${target}"`;
      if (!existsSync(path)) return [`${where}, which does not exist`];
      if (part === undefined || !path.endsWith('.md')) return [];
      return headingAnchors(readFileSync(path, 'utf8')).includes(part)
        ? []
        : [`${where}, which has no such heading`];
    });
}

function headingAnchors(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .trim()
      .replaceAll(' ', '-'),
  );
}

/** Examples are run as they are, and Node 22 strips types but does not know `using`. */
function findSyntaxProblems(root: string, { document, line, code }: DocExample): readonly string[] {
  if (!/^\s*(?:await )?using \w+ =/m.test(code)) return [];
  return [
    `${relative(root, document)}:${line} the example says \`using\`, which Node 22 cannot run: close it by hand`,
  ];
}

function findExampleProblems(
  root: string,
  documents: readonly string[],
  packages: readonly WorkspacePackage[],
): readonly string[] {
  const examples = documents.flatMap(readExamples);
  if (examples.length === 0) return [];
  const folders = new Map(packages.map(({ path }) => [path, join(path, 'temp/docs')]));
  const shared = join(root, 'temp/docs');
  try {
    linkPackages(shared, packages);
    const programs = examples.map((example) => {
      const owner = packages.find(({ path }) => example.document.startsWith(`${path}/`));
      // In its package an example sees that package by its name, and its dependencies; a root document sees them all.
      const home = owner === undefined ? shared : (folders.get(owner.path) ?? shared);
      const folder = join(home, relative(owner?.path ?? root, dirname(example.document)));
      return { example, file: writeExample(example, folder) };
    });
    const compiled = compile(
      root,
      shared,
      programs.map(({ file }) => file),
    );
    if (!compiled.passed)
      return [`examples do not compile:\n${nameDocuments(compiled.output, root, programs)}`];
    return programs.flatMap(({ example, file }) => run(root, example, file));
  } finally {
    for (const folder of [shared, ...folders.values()]) rmSync(folder, { recursive: true, force: true });
  }
}

function linkPackages(folder: string, packages: readonly WorkspacePackage[]): void {
  for (const { manifest, path } of packages) {
    const link = join(folder, 'node_modules', manifest.name);
    rmSync(link, { force: true });
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(path, link, 'junction');
  }
}

function compile(
  root: string,
  folder: string,
  files: readonly string[],
): { passed: boolean; output: string } {
  const project = join(folder, 'tsconfig.json');
  writeFileSync(project, JSON.stringify({ extends: join(root, 'tsconfig.test.json'), files, include: [] }));
  return runProgram(findTool('tsc'), ['-p', project, '--pretty', 'false'], { cwd: root });
}

function run(root: string, { document, line }: DocExample, file: string): readonly string[] {
  const scratch = mkdtempSync(join(tmpdir(), 'conductor-docs-'));
  try {
    const env = { ...cleanEnvironment(), TMPDIR: scratch, HOME: scratch };
    const { passed, output } = runProgram(process.execPath, [file], { cwd: scratch, env, timeoutMs: 60_000 });
    return passed ? [] : [`${relative(root, document)}:${line} the example does not run:\n${output}`];
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The compiler speaks of extracted files; the reader wants the document and the line of the block. */
function nameDocuments(
  output: string,
  root: string,
  programs: readonly { readonly example: DocExample; readonly file: string }[],
): string {
  return programs.reduce((text, { example, file }) => {
    const document = relative(root, example.document);
    return text.replaceAll(
      new RegExp(`${relative(root, file).replaceAll('.', '\\.')}\\((\\d+),`, 'g'),
      (_, line: string) => {
        return `${document}:${example.line + Number(line)} (`;
      },
    );
  }, output);
}

/** Gives every package the repository's LICENSE, since a tarball holds only what lies in its folder. */
function updateLicenses(root: string): void {
  for (const { path } of listPackages(root)) cpSync(join(root, 'LICENSE'), join(path, 'LICENSE'));
}

if (import.meta.main) {
  if (process.argv.includes('--update')) updateLicenses(repositoryRoot);
  report('check:docs', findDocProblems(repositoryRoot));
}
