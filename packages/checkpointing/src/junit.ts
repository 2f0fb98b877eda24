/**
 * JUnit XML, as far as reports use XML: elements, attributes, text, CDATA, the five named entities and character references.
 * Invariant: counts come from the testcase elements themselves, since tools disagree on what their summary attributes mean.
 */
import type { TestFailure } from './record.ts';
import type { ParsedReport } from './test-report.ts';

/** @internal `undefined` when the text is no complete JUnit report. */
export function parseJUnit(text: string): ParsedReport | undefined {
  const failures: TestFailure[] = [];
  const open: string[] = [];
  let total = 0;
  let skipped = 0;
  let isReport = false;
  let testcase: OpenTestcase | undefined;

  const close = (name: string): void => {
    if (name !== 'testcase' || testcase === undefined) return;
    total++;
    if (testcase.failure !== undefined) {
      const message = [testcase.failure, testcase.text.trim()].filter((part) => part !== '').join('\n');
      failures.push({
        name: testcase.name,
        message,
        ...(testcase.file === undefined ? {} : { file: testcase.file }),
      });
    } else if (testcase.isSkipped) skipped++;
    testcase = undefined;
  };

  for (const token of text.matchAll(TOKEN)) {
    const { cdata, closing, opening, attributes = '', empty, plain } = token.groups ?? {};
    if (opening !== undefined) {
      if (open.length === 0) isReport = opening === 'testsuites' || opening === 'testsuite';
      if (opening === 'testcase') testcase = openTestcase(attributes);
      else if (testcase !== undefined) noteChild(testcase, opening, attributes);
      if (empty === '/') close(opening);
      else open.push(opening);
    } else if (closing !== undefined) {
      if (open.pop() !== closing) return undefined;
      close(closing);
    } else if (testcase?.failure !== undefined && isFailure(open.at(-1))) {
      testcase.text += cdata ?? decode(plain ?? '');
    }
  }
  if (!isReport || open.length > 0) return undefined;
  return {
    totals: { total, passed: total - failures.length - skipped, failed: failures.length, skipped },
    failures,
  };
}

interface OpenTestcase {
  readonly name: string;
  readonly file: string | undefined;
  failure: string | undefined;
  text: string;
  isSkipped: boolean;
}

function openTestcase(attributes: string): OpenTestcase {
  const values = parseAttributes(attributes);
  const name = [values.get('classname'), values.get('name')].filter(
    (part) => part !== undefined && part !== '',
  );
  return { name: name.join(' › '), file: values.get('file'), failure: undefined, text: '', isSkipped: false };
}

function noteChild(testcase: OpenTestcase, name: string, attributes: string): void {
  if (isFailure(name)) testcase.failure ??= parseAttributes(attributes).get('message') ?? '';
  if (name === 'skipped') testcase.isSkipped = true;
}

function isFailure(name: string | undefined): boolean {
  return name === 'failure' || name === 'error';
}

function parseAttributes(text: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const match of text.matchAll(ATTRIBUTE)) {
    if (match[1] !== undefined) values.set(match[1], decode(match[2] ?? match[3] ?? ''));
  }
  return values;
}

function decode(text: string): string {
  return text.replaceAll(
    /&(?:#x([0-9a-f]+)|#(\d+)|(lt|gt|amp|quot|apos));/gi,
    (whole, hex, decimal, name) => {
      if (typeof name === 'string') return ENTITIES[name.toLowerCase()] ?? whole;
      const code = typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal);
      return code <= 0x10ffff ? String.fromCodePoint(code) : whole;
    },
  );
}

/**
 * @internal A report whose texts and attributes have passed `change`, decoded. Those that it leaves alone stay as they were
 * written.
 */
export function rewriteJUnit(text: string, change: (decoded: string) => string): string {
  const rewrite = (written: string): string => {
    const decoded = decode(written);
    const changed = change(decoded);
    return changed === decoded ? written : encode(changed);
  };
  let rewritten = '';
  let end = 0;
  for (const token of text.matchAll(TOKEN)) {
    const { attributes, plain } = token.groups ?? {};
    rewritten += text.slice(end, token.index);
    end = token.index + token[0].length;
    if (plain !== undefined) rewritten += rewrite(plain);
    else if (attributes === undefined) rewritten += token[0];
    else rewritten += token[0].replaceAll(QUOTED, (whole) => `"${rewrite(whole.slice(1, -1))}"`);
  }
  return rewritten + text.slice(end);
}

function encode(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&apos;');
}

const QUOTED = /"[^"]*"|'[^']*'/g;
/** Begins where a word does, so that no part of a long one is looked at twice. */
const ATTRIBUTE = /(?<![\w:.-])([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
/**
 * Comments, declarations and instructions match without a group and are skipped. What is never closed matches up to the end:
 * looking for its end again from each further opening would take time by the square.
 */
const TOKEN =
  /<!--[\s\S]*?(?:-->|$)|<!\[CDATA\[(?<cdata>[\s\S]*?)(?:\]\]>|$)|<[?!][^>]*(?:>|$)|<\/(?<closing>[\w:.-]+)\s*>|<(?<opening>[\w:.-]+)(?<attributes>(?:[^<>"']|"[^"]*"|'[^']*')*?)(?<empty>\/)?>|(?<plain>[^<]+)/g;
const ENTITIES: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"', apos: "'" };
