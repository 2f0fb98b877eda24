/** Which Node the package runs on: `engines.node` in words. Invariant: imports nothing, so that an old Node can load it. */

/**
 * Whether a version of Node can run conductor.
 *
 * @param version - such as `24.1.0`
 */
export function isNodeSupported(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return (major === 22 && minor >= 18) || major >= 24;
}
