/**
 * Streaming redaction with ten secrets and the default shapes against one regular expression per chunk (which leaks).
 * `node packages/logging/bench/redaction.ts [MiB] [rounds]`
 */
import { createRedactor } from '../src/index.ts';
import { naivePattern } from './naive-redaction.ts';
import { createOutput, SECRETS } from './output.ts';

const mib = Number(process.argv[2] ?? 256);
const rounds = Number(process.argv[3] ?? 5);
const CHUNK_BYTES = 64 * 1024;

/** The same bytes for every contender, cut so that borders fall inside secrets now and then. */
const block = createOutput(true);
const input = Buffer.concat(
  Array.from({ length: Math.ceil((mib * 1024 * 1024) / block.byteLength) }, () => block),
);
const chunks: Buffer[] = [];
for (let at = 0; at < input.byteLength; at += CHUNK_BYTES) chunks.push(input.subarray(at, at + CHUNK_BYTES));
const isLeak = (text: string): boolean => Object.values(SECRETS).some((secret) => text.includes(secret));

const pattern = naivePattern(SECRETS);
const redactor = createRedactor({ secrets: SECRETS });
const contenders: Readonly<Record<string, () => Iterable<Buffer>>> = {
  *'regex per chunk'() {
    for (const chunk of chunks) {
      yield Buffer.from(chunk.toString('latin1').replace(pattern, '[redacted]'), 'latin1');
    }
  },
  *'redactor.stream()'() {
    const stream = redactor.stream();
    for (const chunk of chunks) yield Buffer.from(stream.push(chunk));
    yield Buffer.from(stream.end());
  },
};

const rates = new Map<string, number[]>();
const leaks = new Map<string, number>();
for (let round = 0; round < rounds; round++) {
  for (const [name, run] of Object.entries(contenders)) {
    let leaked = 0;
    let end = '';
    const startMs = performance.now();
    let checkMs = 0;
    for (const output of run()) {
      if (round > 0) continue;
      const checkStartMs = performance.now();
      const text = end + output.toString('latin1');
      if (isLeak(text)) leaked += 1;
      end = text.slice(-100);
      checkMs += performance.now() - checkStartMs;
    }
    const rate = input.byteLength / 1024 / 1024 / ((performance.now() - startMs - checkMs) / 1000);
    rates.set(name, [...(rates.get(name) ?? []), rate]);
    if (round === 0) leaks.set(name, leaked);
  }
}
const medianOf = (name: string): number =>
  [...(rates.get(name) ?? [])].sort((a, b) => a - b)[Math.floor(rounds / 2)] ?? Number.NaN;
console.table(
  Object.keys(contenders).map((name) => ({
    name,
    'MiB/s': Math.round(medianOf(name)),
    ratio: (medianOf(name) / medianOf('regex per chunk')).toFixed(2),
    [`chunks with a leak (${chunks.length})`]: leaks.get(name),
  })),
);
