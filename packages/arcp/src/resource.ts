/**
 * The one spelling of a resource that patterns are matched against. Invariant: two spellings of the same file or URL
 * come out equal, and a spelling whose meaning is unsure comes out as nothing, which no lease covers.
 */
import { compileGlob, isGlobIncluded, matchGlob, type Glob } from './glob.ts';

/** A pattern in its parts: one for most namespaces; origin and path for `net.fetch`, so that no star reaches from one into the other. */
export interface ResourcePattern {
  /** As it was written. */
  readonly source: string;
  /** Its parts, in order. */
  readonly parts: readonly Glob[];
}

/**
 * Compiles a lease pattern of a namespace.
 *
 * @param namespace - such as `fs.read`
 * @param source - the glob
 * @returns `undefined` when the pattern cannot mean anything in that namespace
 */
export function compilePattern(namespace: string, source: string): ResourcePattern | undefined {
  const texts = splitPattern(namespace, source);
  if (texts === undefined) return undefined;
  const parts: Glob[] = [];
  for (const text of texts) {
    const glob = compileGlob(text);
    if (glob === undefined) return undefined;
    parts.push(glob);
  }
  return { source, parts };
}

/**
 * Brings a resource into the spelling patterns are matched against.
 *
 * @param namespace - such as `fs.read`
 * @param resource - an absolute path, an http(s) URL, or a name; at most 8,192 characters
 * @returns its parts, or `undefined` when it has no sure meaning
 */
export function normaliseResource(namespace: string, resource: string): readonly string[] | undefined {
  if (resource.length === 0 || resource.length > MAX_RESOURCE || resource.includes('\0')) return undefined;
  const kind = kindOf(namespace);
  if (kind === 'url') return normaliseUrl(resource);
  if (kind === 'name') return [resource];
  const path = normalisePath(resource);
  return path === undefined ? undefined : [path];
}

/** Whether the pattern covers the normalised resource. */
export function matchPattern(pattern: ResourcePattern, parts: readonly string[]): boolean {
  return (
    pattern.parts.length === parts.length &&
    pattern.parts.every((glob, index) => matchGlob(glob, parts[index] ?? ''))
  );
}

/** Whether everything `child` covers is proved to be covered by `parents`. */
export function isPatternIncluded(child: ResourcePattern, parents: readonly ResourcePattern[]): boolean {
  const [only, ...rest] = child.parts;
  if (only === undefined) return false;
  if (rest.length === 0) {
    const globs = parents.flatMap((parent) => (parent.parts.length === 1 ? parent.parts : []));
    return isGlobIncluded(only, globs);
  }
  // Part by part within one parent: a union over several parents could mix one's origin with another's path.
  return parents.some(
    (parent) =>
      parent.parts.length === child.parts.length &&
      child.parts.every((glob, index) => {
        const bound = parent.parts[index];
        return bound !== undefined && isGlobIncluded(glob, [bound]);
      }),
  );
}

function kindOf(namespace: string): 'path' | 'url' | 'name' {
  if (namespace === 'fs.read' || namespace === 'fs.write') return 'path';
  return namespace === 'net.fetch' ? 'url' : 'name';
}

function splitPattern(namespace: string, source: string): readonly string[] | undefined {
  const kind = kindOf(namespace);
  if (kind === 'url') return splitUrlPattern(source);
  if (kind === 'name') return [source];
  const segments = source.split('/');
  if (segments.includes('.') || segments.includes('..')) return undefined;
  return source.startsWith('/') || source.startsWith('**') ? [source] : undefined;
}

/** `https://*.example.com/v1/**` into origin and path; `**` and `*` alone mean every URL. */
function splitUrlPattern(source: string): readonly string[] | undefined {
  if (source === '**' || source === '*') return ['**', '**'];
  const match = URL_PATTERN.exec(source);
  if (match === null) return undefined;
  const [, scheme = '', host = '', path = ''] = match;
  const lowered = host.toLowerCase().replace(scheme.toLowerCase() === 'https' ? /:443$/ : /:80$/, '');
  return [`${scheme.toLowerCase()}://${lowered}`, path === '' ? '/' : path];
}

function normalisePath(path: string): string | undefined {
  if (!path.startsWith('/')) return undefined;
  const kept: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') kept.pop();
    else kept.push(segment);
  }
  return `/${kept.join('/')}`;
}

function normaliseUrl(resource: string): readonly string[] | undefined {
  const url = URL.parse(resource);
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) return undefined;
  // Credentials in a URL make its host easy to misread; nobody needs them in a fetch.
  if (url.username !== '' || url.password !== '') return undefined;
  return [url.origin, `${url.pathname}${url.search}`];
}

const URL_PATTERN = /^(https?|\*):\/\/([^/?#@\\\s]+)(\/[^#\s]*)?$/i;
const MAX_RESOURCE = 8_192;
