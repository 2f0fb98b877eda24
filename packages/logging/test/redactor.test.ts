import * as fc from 'fast-check';
import { describe, expect, inject, test } from 'vitest';

import { createRedactor, DEFAULT_TOKEN_SHAPES, type Redactor, type TokenShape } from '../src/index.ts';

const runs = (): { numRuns: number } => ({ numRuns: inject('soak') ? 5000 : 300 });

/** What a stream gives for the input cut at `cuts`. */
function redactInChunks(redactor: Redactor, input: Buffer, cuts: readonly number[]): string {
  const stream = redactor.stream();
  const edges = [
    0,
    ...cuts.map((cut) => cut % (input.byteLength + 1)).sort((a, b) => a - b),
    input.byteLength,
  ];
  const parts = edges
    .slice(1)
    .map((end, index) => Buffer.from(stream.push(input.subarray(edges[index], end))));
  return Buffer.concat([...parts, stream.end()]).toString('latin1');
}

function base64Windows(secret: string): readonly string[] {
  // The encoded text around a secret that starts at each of the three alignments.
  return ['', 'a', 'ab'].map((before) => Buffer.from(`${before}${secret}tail`).toString('base64'));
}

describe('stream', () => {
  test('given a secret split at every possible boundary, neither it nor an encoded form gets through', () => {
    const secret = 'p@ss wörd/42+?&"\\';
    const redactor = createRedactor({ secrets: { DB: secret }, patterns: [] });
    const forms = [
      secret,
      JSON.stringify(secret),
      encodeURIComponent(secret),
      encodeURIComponent(secret).toLowerCase(),
      new URLSearchParams([['', secret]]).toString().slice(1),
      Buffer.from(secret).toString('base64'),
      Buffer.from(secret).toString('base64url'),
    ];
    for (const form of forms) {
      const input = Buffer.from(`before ${form} between ${form}${form} after`);
      const whole = redactor.redact(input.toString());
      expect(whole).not.toContain(form);
      expect(whole).toMatch(/^before "?\[redacted:DB\]=*"? between .* after$/);
      for (let cut = 0; cut <= input.byteLength; cut++) {
        expect(redactInChunks(redactor, input, [cut])).toBe(Buffer.from(whole).toString('latin1'));
      }
      const bytes = Array.from(input, (_, index) => index);
      expect(redactInChunks(redactor, input, bytes)).toBe(Buffer.from(whole).toString('latin1'));
    }
  });

  test('given any secrets, any text around them and any cuts, the result does not depend on the cuts and holds no secret', () => {
    // Few letters, so that secrets overlap, repeat and nearly match.
    const secret = fc.stringMatching(/^[abc]{6,12}$/);
    const piece = fc.oneof(fc.stringMatching(/^[abc \n]{0,12}$/), fc.nat({ max: 3 }));
    fc.assert(
      fc.property(
        fc.array(secret, { minLength: 1, maxLength: 4 }),
        fc.array(piece, { maxLength: 12 }),
        fc.array(fc.nat(), { maxLength: 20 }),
        (secrets, pieces, cuts) => {
          const byName = Object.fromEntries(secrets.map((value, index) => [`S${index}`, value]));
          const redactor = createRedactor({ secrets: byName, patterns: [] });
          const text = pieces
            .map((part) => (typeof part === 'string' ? part : (secrets[part] ?? '')))
            .join('');

          const whole = redactor.redact(text);

          expect(redactInChunks(redactor, Buffer.from(text), cuts)).toBe(whole);
          for (const value of secrets) expect(whole).not.toContain(value);
          expect(redactor.contains(Buffer.from(text))).toBe(secrets.some((value) => text.includes(value)));
        },
      ),
      runs(),
    );
  });

  test('given any bytes, invalid UTF-8 and NULs included, what holds no secret comes out as it went in', () => {
    const redactor = createRedactor({ secrets: { DB: '\u0000\u0001\u0002\u0003\u0004\u0005' } });
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(), { maxLength: 10 }), (bytes, cuts) => {
        const input = Buffer.from(bytes);
        fc.pre(!redactor.contains(input));
        expect(redactInChunks(redactor, input, cuts)).toBe(input.toString('latin1'));
      }),
      runs(),
    );
  });

  test('given a secret inside longer base64 at each alignment, the characters that are the secret alone are gone', () => {
    const secret = 'hunter2-hunter2';
    const redactor = createRedactor({ secrets: { DB: secret }, patterns: [] });
    for (const encoded of base64Windows(secret)) {
      const clean = redactor.redact(encoded);
      expect(clean).toContain('[redacted:DB]');
      expect(Buffer.from(clean.replace('[redacted:DB]', ''), 'base64').toString('latin1')).not.toContain(
        'unter',
      );
    }
  });

  test('given a secret of several lines, each of its longer lines is redacted by itself', () => {
    const redactor = createRedactor({ secrets: { KEY: 'first line\nshort\nthird line' }, patterns: [] });

    expect(redactor.redact('x first line y\n  third line\r\nshort')).toBe(
      'x [redacted:KEY] y\n  [redacted:KEY]\r\nshort',
    );
  });

  test('given overlapping secrets, nothing of either is left standing', () => {
    const redactor = createRedactor({ secrets: { A: 'abcdefgh', B: 'efghijkl' }, patterns: [] });

    expect(redactor.redact('--abcdefghijkl--')).toBe('--[redacted:A]--');
    for (let cut = 0; cut < 16; cut++) {
      expect(redactInChunks(redactor, Buffer.from('--abcdefghijkl--'), [cut])).toBe('--[redacted:A]--');
    }
  });

  test('given output that is not the start of a secret, nothing is held back', () => {
    const stream = createRedactor({ secrets: { DB: 'correct horse' }, patterns: [] }).stream();

    expect(Buffer.from(stream.push(Buffer.from('ready>'))).toString()).toBe('ready>');
    expect(stream.heldBytes()).toBe(0);
    expect(Buffer.from(stream.push(Buffer.from('is it correct ho'))).toString()).toBe('is it ');
    expect(stream.heldBytes()).toBe('correct ho'.length);
  });

  test('given an endless run of overlapping secrets, memory stays bounded', () => {
    const stream = createRedactor({ secrets: { A: 'aaaaaaaa' } }).stream();
    const chunk = Buffer.alloc(64 * 1024, 'a');
    let most = 0;
    for (let round = 0; round < 64; round++) {
      stream.push(chunk);
      most = Math.max(most, stream.heldBytes());
    }

    expect(most).toBeLessThan(256 * 1024);
    expect(Buffer.from(stream.end()).toString()).not.toContain('aaaaaaaa');
  });
});

describe('token shapes', () => {
  const alnum = (length: number): string => 'aB3dE6gH9j'.repeat(Math.ceil(length / 10)).slice(0, length);
  test.for([
    ['github-token', `ghp_${alnum(36)}`],
    ['github-token', `github_pat_${alnum(22)}_${alnum(59)}`],
    ['gitlab-token', `glpat-${alnum(20)}`],
    ['anthropic-key', `sk-ant-api03-${alnum(90)}`],
    ['openai-key', `sk-proj-${alnum(60)}`],
    ['openai-key', `sk-${alnum(48)}`],
    ['aws-access-key', 'AKIAIOSFODNN7EXAMPLE'],
    ['slack-token', `xoxb-123456789012-${alnum(24)}`],
    ['npm-token', `npm_${alnum(36)}`],
    ['pypi-token', `pypi-AgEIcHlwaS5vcmc${alnum(60)}`],
    ['google-key', `AIza${alnum(35)}`],
    ['stripe-key', `sk_live_${alnum(24)}`],
    ['jwt', `eyJhbG${alnum(20)}.eyJ${alnum(40)}.${alnum(43)}`],
    ['authorization', `Bearer ${alnum(40)}=`],
    ['authorization', 'Authorization: Basic dXNlcjpwYXNz'],
    ['private-key', `-----BEGIN RSA PRIVATE KEY-----\n${alnum(64)}\n${alnum(64)}\n`],
  ])('given a %s, it is replaced whole, however it is cut', ([name = '', token = '']) => {
    const redactor = createRedactor();
    const input = Buffer.from(`x="${token}"; done`);

    for (let cut = 0; cut <= input.byteLength; cut++) {
      expect(redactInChunks(redactor, input, [cut])).toBe(`x="[redacted:${name}]"; done`);
    }
    expect(redactor.find(input)).toContain(name);
  });

  test.for([
    ['task-force-of-something-rather-long-indeed'],
    ['eyJ without any dots but long enough to be one'],
    ['ghp_short'],
    ['Bearer of bad news'],
    ['the AKIA is a frog'],
    ['-----BEGIN CERTIFICATE-----'],
  ])('given %j, it is left alone', ([text = '']) => {
    expect(createRedactor().redact(text)).toBe(text);
  });

  test('given a run of the same start over and over, the search stays linear', () => {
    const redactor = createRedactor();
    const input = Buffer.from('eyJh'.repeat(500_000));

    const { output } = redactor.step(input, true);

    expect(output.byteLength).toBe(input.byteLength);
  });

  test('given an own shape, it is used; a prefix that is too short is refused', () => {
    const shape: TokenShape = { name: 'acme', prefixes: ['acme:'], characters: '0-9', minLength: 4 };

    const redactor = createRedactor({ patterns: [...DEFAULT_TOKEN_SHAPES, shape] });

    expect(redactor.redact('acme:123 acme:1234')).toBe('acme:123 [redacted:acme]');
    expect(() => createRedactor({ patterns: [{ ...shape, prefixes: ['ab'] }] })).toThrow(RangeError);
  });
});

describe('createRedactor', () => {
  test.for([
    ['', 'long enough'],
    ['a b', 'long enough'],
    ['OK', 'short'],
    ['OK', ''],
    ['OK', 'x'.repeat(16 * 1024 + 1)],
  ])('given the secret %j, it is refused by name and without its value', ([name = '', value = '']) => {
    const create = (): Redactor => createRedactor({ secrets: { [name]: value } });

    expect(create).toThrow(expect.objectContaining({ code: 'secret-unusable' }));
    const message = ((): string => {
      try {
        return create().names.join();
      } catch (error) {
        return String(error);
      }
    })();
    expect(message.includes(value)).toBe(value === '');
  });

  test('given nested values, strings are redacted and everything else is as it was', () => {
    const redactor = createRedactor({ secrets: { DB: 'correct horse' } });
    const value = { a: ['x correct horse', 1, null, { b: 'correct horse' }], c: true, d: undefined };

    expect(redactor.redactValue(value)).toEqual({
      a: ['x [redacted:DB]', 1, null, { b: '[redacted:DB]' }],
      c: true,
      d: undefined,
    });
    expect(redactor.names).toContain('DB');
  });

  test('given a clean text, the very same text comes back', () => {
    const text = `clean ${'ä'.repeat(10)} \ud800`;

    expect(createRedactor({ secrets: { DB: 'correct horse' } }).redact(text)).toBe(text);
    expect(createRedactor({ patterns: [] }).redact(text)).toBe(text);
  });
});
