/**
 * Capability globs as small automata: `*` is any run without a slash, `**` any run, a final `/**` also the directory
 * itself, `/**` before a slash also nothing; every other character is itself.
 * Invariant: matching costs at most pattern length times text length, whatever the pattern; inclusion never says yes wrongly.
 */

/** A compiled pattern. States are token positions; the last one accepts. */
export interface Glob {
  /** As it was written. */
  readonly source: string;
  /** One per state but the last: a code unit, or `STAR`, `GLOBSTAR` or `OPTION`. */
  readonly tokens: Int32Array;
  /** Where the optional group behind an `OPTION` may be skipped to; 0 for every other state. */
  readonly skips: Int32Array;
}

/**
 * Compiles a pattern.
 *
 * @param source - at most 1,024 characters, not empty, without control characters
 * @returns `undefined` when it is too long, empty or holds a control character
 */
export function compileGlob(source: string): Glob | undefined {
  if (source.length === 0 || source.length > MAX_PATTERN || hasControl(source)) return undefined;
  const tokens: number[] = [];
  const skips: number[] = [];
  const push = (token: number, skip = 0): void => {
    tokens.push(token);
    skips.push(skip);
  };
  for (let at = 0; at < source.length;) {
    if (source.startsWith('/**', at) && at + 3 === source.length) {
      push(OPTION, tokens.length + 3);
      push(SLASH);
      push(GLOBSTAR);
      at += 3;
    } else if (source.startsWith('/**/', at)) {
      push(SLASH);
      push(OPTION, tokens.length + 3);
      push(GLOBSTAR);
      push(SLASH);
      at += 4;
    } else if (source.startsWith('**', at)) {
      push(GLOBSTAR);
      at += 2;
    } else {
      push(source[at] === '*' ? STAR : source.charCodeAt(at));
      at += 1;
    }
  }
  skips.push(0);
  return { source, tokens: Int32Array.from(tokens), skips: Int32Array.from(skips) };
}

/** Whether the whole text matches. */
export function matchGlob(glob: Glob, text: string): boolean {
  let states = closeStates(glob, [0]);
  for (let at = 0; at < text.length && states.length > 0; at += 1) {
    states = step(glob, states, text.charCodeAt(at));
  }
  return states.includes(glob.tokens.length);
}

/**
 * Whether everything `child` matches is matched by at least one of `parents`.
 *
 * Walks both automata together; exact until the walk meets 20,000 pairs, then it gives up and says no. So yes is
 * always true, and no may mean "not proved".
 *
 * @param child - the pattern that must not match more
 * @param parents - the patterns that bound it, taken together
 */
export function isGlobIncluded(child: Glob, parents: readonly Glob[]): boolean {
  const alphabet = distinctSymbols([child, ...parents]);
  const start = parents.map((parent) => closeStates(parent, [0]));
  const seen = new Set<string>();
  const queue: { readonly child: number; readonly parents: number[][] }[] = [];
  const visit = (state: number, parentStates: number[][]): void => {
    const key = `${state}|${parentStates.map((states) => states.join(',')).join('|')}`;
    if (seen.has(key)) return;
    seen.add(key);
    queue.push({ child: state, parents: parentStates });
  };
  for (const state of closeStates(child, [0])) visit(state, start);
  for (let pair = queue.pop(); pair !== undefined; pair = queue.pop()) {
    if (seen.size > MAX_PAIRS) return false;
    const accepted = pair.parents.some((states, index) =>
      states.includes(parents[index]?.tokens.length ?? -1),
    );
    if (pair.child === child.tokens.length && !accepted) return false;
    for (const symbol of alphabet) {
      const next = step(child, [pair.child], symbol);
      if (next.length === 0) continue;
      const parentNext = parents.map((parent, index) => step(parent, pair.parents[index] ?? [], symbol));
      for (const state of next) visit(state, parentNext);
    }
  }
  return true;
}

/** States reachable by one character, sorted, with the free moves already taken. */
function step(glob: Glob, states: readonly number[], code: number): number[] {
  const next: number[] = [];
  for (const state of states) {
    const token = glob.tokens[state];
    if (token === undefined) continue;
    if (token === code) next.push(state + 1);
    else if (token === GLOBSTAR || (token === STAR && code !== SLASH)) next.push(state);
  }
  return next.length === 0 ? next : closeStates(glob, next);
}

/** Adds what costs no character: past a star, past an optional group. Marks instead of searching, so it stays linear. */
function closeStates(glob: Glob, states: readonly number[]): number[] {
  const reached = new Set<number>(states);
  for (const state of reached) {
    const token = glob.tokens[state];
    if (token === STAR || token === GLOBSTAR || token === OPTION) reached.add(state + 1);
    const skip = glob.skips[state] ?? 0;
    if (skip !== 0) reached.add(skip);
  }
  return [...reached].sort((left, right) => left - right);
}

/** Every literal of the patterns, the slash, and one symbol that stands for all other characters. */
function distinctSymbols(globs: readonly Glob[]): number[] {
  const symbols = new Set<number>([SLASH, OTHER]);
  for (const glob of globs) for (const token of glob.tokens) if (token >= 0) symbols.add(token);
  return [...symbols];
}

function hasControl(text: string): boolean {
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || code === 0x7f) return true;
  }
  return false;
}

const SLASH = 0x2f;
const STAR = -1;
const GLOBSTAR = -2;
/** Takes no character. A state of its own: a star that loops must not come by the way out again. */
const OPTION = -3;
/** No code unit has this value, so only stars take it. */
const OTHER = 0x1_0000;
const MAX_PATTERN = 1_024;
const MAX_PAIRS = 20_000;
