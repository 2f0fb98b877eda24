/** Agent names and versions (section 7.5). Invariant: a version is an opaque string; nothing here orders two of them. */
import { ArcpError } from './errors.ts';

/** An agent as `session.welcome` lists it. */
export interface AgentInventoryEntry {
  /** `[a-z0-9][a-z0-9._-]*`. */
  readonly name: string;
  /** At least one, each `[a-zA-Z0-9.+_-]+`. */
  readonly versions: readonly string[];
  /** What a bare name means; one of `versions`. */
  readonly default: string;
}

/** A name, and the version if one was pinned. */
export interface AgentRef {
  /** The name. */
  readonly name: string;
  /** The version asked for; `undefined` for a bare name. */
  readonly version: string | undefined;
}

/**
 * Reads `name` or `name@version`.
 *
 * @param text - what the client sent
 * @returns `undefined` when it is neither
 */
export function parseAgentRef(text: string): AgentRef | undefined {
  const match = AGENT_REF.exec(text);
  if (match === null) return undefined;
  const [, name = '', version] = match;
  return { name, version };
}

/** `name@version`. */
export function formatAgentRef(name: string, version: string): string {
  return `${name}@${version}`;
}

/**
 * Finds the version a request means.
 *
 * @param text - `name` or `name@version`
 * @param inventory - what the runtime offers
 * @throws ArcpError with code INVALID_REQUEST, AGENT_NOT_AVAILABLE or AGENT_VERSION_NOT_AVAILABLE
 */
export function resolveAgent(
  text: string,
  inventory: readonly AgentInventoryEntry[],
): { readonly name: string; readonly version: string } {
  const ref = parseAgentRef(text);
  if (ref === undefined) {
    throw new ArcpError('INVALID_REQUEST', `Cannot resolve agent "${text}": expected name or name@version`);
  }
  const entry = inventory.find((candidate) => candidate.name === ref.name);
  if (entry === undefined) {
    throw new ArcpError('AGENT_NOT_AVAILABLE', `Cannot resolve agent "${text}": no agent of that name`);
  }
  const version = ref.version ?? entry.default;
  if (!entry.versions.includes(version)) {
    throw new ArcpError(
      'AGENT_VERSION_NOT_AVAILABLE',
      `Cannot resolve agent "${text}": no such version, expected one of "${entry.versions.join('", "')}"`,
    );
  }
  return { name: ref.name, version };
}

const AGENT_REF = /^([a-z0-9][a-z0-9._-]{0,127})(?:@([a-zA-Z0-9.+_-]{1,128}))?$/;
