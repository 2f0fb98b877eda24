/** The smaller ports of a runtime: who calls, who may look, who issues keys, where spans go. */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Credential } from '../wire.ts';
import type { Lease } from '../lease.ts';

/** Finds out who calls. */
export interface Authenticator {
  /**
   * Asked once per hello.
   *
   * @param auth - scheme and token as the client sent them, possibly empty
   * @returns the principal, or `undefined` for nobody. Throwing counts as nobody and is logged.
   */
  authenticate(auth: {
    readonly scheme: string;
    readonly token: string;
  }): Promise<string | undefined> | string | undefined;
}

/**
 * Knows its callers by their bearer tokens, compared in constant time.
 *
 * @param principalsByToken - who presents which token; a token is at least 16 characters, so that nobody guesses it
 * @throws RangeError when a token is shorter
 */
export function createTokenAuthenticator(principalsByToken: Readonly<Record<string, string>>): Authenticator {
  const known = Object.entries(principalsByToken).map(([token, principal]) => {
    if (token.length < MIN_TOKEN) {
      throw new RangeError(
        `Cannot accept token of "${principal}": expected at least ${MIN_TOKEN} characters`,
      );
    }
    return { digest: sha256(token), principal };
  });
  return {
    authenticate({ scheme, token }) {
      if (scheme !== 'bearer') return undefined;
      const digest = sha256(token);
      let found: string | undefined;
      // Every token is compared, so that time tells nothing about which ones exist.
      for (const entry of known) if (timingSafeEqual(entry.digest, digest)) found = entry.principal;
      return found;
    },
  };
}

/** Decides who may see whose jobs. */
export interface ObservePolicy {
  /**
   * Asked once per subscribe.
   *
   * @param observer - the principal that asks
   * @param owner - the principal that submitted; never equal to `observer`
   * @param jobId - the job
   */
  mayObserve(observer: string, owner: string, jobId: string): boolean;
  /** Whose jobs, beside its own, a principal sees in `session.jobs`. Nobody's when absent. */
  listablePrincipals?(observer: string): readonly string[];
}

/** What a credential is wanted for. */
export interface CredentialRequest {
  /** The provider's name for this issue, chosen by the runtime and stored before the call. */
  readonly handle: string;
  /** The job. */
  readonly jobId: string;
  /** Whose job. */
  readonly principal: string;
  /** What the job may do; bake in what the upstream can enforce. */
  readonly lease: Lease;
  /** When its authority ends, ISO 8601. */
  readonly expiresAt: string | undefined;
  /** What is left of each currency, exact decimal text. */
  readonly budget: Readonly<Record<string, string>>;
}

/** Issues keys for something that costs money, and takes them back (section 9.8). */
export interface CredentialProvider {
  /** How many keys a job gets, by name; asked before `issue`. The names become the `id` on the wire. Empty for none. */
  credentialsFor(request: Omit<CredentialRequest, 'handle'>): readonly string[];
  /** Issues one. Rejecting refuses the submit. */
  issue(credentialId: string, request: CredentialRequest): Promise<Omit<Credential, 'id'>>;
  /** Takes one back by its handle. Must succeed for a handle that was never issued or is revoked already; rejecting means try again. */
  revoke(handle: string): Promise<void>;
}

/** A span; fits OpenTelemetry's. */
export interface Span {
  /** Adds a fact. */
  setAttribute(key: string, value: string | number | boolean): unknown;
  /** Ends it. */
  end(): void;
}

/** Where spans come from; fits OpenTelemetry's `Tracer`. */
export interface Tracer {
  /** Begins a span. */
  startSpan(
    name: string,
    options?: { readonly attributes?: Readonly<Record<string, string | number | boolean>> },
  ): Span;
}

/** @internal SHA-256 of a secret. */
export function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest();
}

const MIN_TOKEN = 16;
