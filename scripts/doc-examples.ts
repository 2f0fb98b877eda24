// The ```ts blocks of a Markdown file. Each is a complete program: it compiles and runs alone.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** One program taken out of a document. */
export interface DocExample {
  /** Absolute path of the document, and the line its fence stands on, for messages. */
  readonly document: string;
  readonly line: number;
  readonly code: string;
}

/** Takes every ```ts block out of a Markdown file. */
export function readExamples(document: string): readonly DocExample[] {
  const text = readFileSync(document, 'utf8');
  return [...text.matchAll(/^```ts\n([\s\S]*?)^```$/gm)].map((match) => ({
    document,
    line: text.slice(0, match.index).split('\n').length,
    code: match[1] ?? '',
  }));
}

/** Writes an example as a program of its own, from which imports resolve as they do in `folder`; returns its path. */
export function writeExample({ document, line, code }: DocExample, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, `${basename(document, '.md').toLowerCase()}-line-${line}.ts`);
  writeFileSync(file, `${code}\nexport {};\n`);
  return file;
}
