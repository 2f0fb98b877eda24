import { describe, expect, test } from 'vitest';
import { ARCP_WIRE_CODES, ArcpError, errorToPayload, payloadToError } from '@conductor-run/arcp';

describe('12 errors', () => {
  test('given the draft’s table, when compared, there are its fifteen codes', () => {
    expect(new Set(ARCP_WIRE_CODES).size).toBe(15);
  });

  test.for(ARCP_WIRE_CODES)(
    'given %s, when it travels, it carries a boolean retryable and comes back the same',
    (code) => {
      const payload = errorToPayload(new ArcpError(code, 'why', { details: { a: 1 } }));

      expect(payload).toMatchObject({
        code,
        message: 'why',
        retryable: expect.any(Boolean) as unknown,
        details: { a: 1 },
      });
      expect(errorToPayload(payloadToError(payload))).toEqual(payload);
    },
  );

  test.for([
    ['INTERNAL_ERROR', true],
    ['LEASE_EXPIRED', false],
    ['BUDGET_EXHAUSTED', false],
  ] as const)('given %s, when somebody claims otherwise, retryable stays %s', ([code, retryable]) => {
    expect(new ArcpError(code, 'x', { retryable: !retryable }).retryable).toBe(retryable);
  });

  test('given anything else that was thrown, when it travels, it is INTERNAL_ERROR without its stack', () => {
    expect(errorToPayload(new TypeError('boom'))).toEqual({
      code: 'INTERNAL_ERROR',
      message: 'boom',
      retryable: true,
    });
    expect(errorToPayload('text')).toMatchObject({ code: 'INTERNAL_ERROR', retryable: true });
    expect(errorToPayload(new ArcpError('closed', 'inside'))).toMatchObject({ code: 'INTERNAL_ERROR' });
  });
});
