/** What most tools do: one regular expression over each chunk as it comes. Misses whatever a chunk border cuts. */

/** The same secrets, in the forms people think of, and the same shapes of tokens, written as short as they can be. */
export function naivePattern(secrets: Readonly<Record<string, string>>): RegExp {
  const escape = (text: string): string => text.replaceAll(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
  const values = Object.values(secrets).flatMap((value) => [
    value,
    encodeURIComponent(value),
    JSON.stringify(value).slice(1, -1),
    Buffer.from(value).toString('base64').replaceAll('=', ''),
    Buffer.from(`a${value}`).toString('base64').slice(2, -4),
    Buffer.from(`ab${value}`).toString('base64').slice(3, -4),
  ]);
  return new RegExp([...new Set(values.map(escape)), ...TOKENS].join('|'), 'g');
}

const TOKENS = [
  'gh[pousr]_[A-Za-z0-9]{36,255}',
  'github_pat_[A-Za-z0-9_]{22,255}',
  'glpat-[A-Za-z0-9_.-]{20,300}',
  'sk-ant-[A-Za-z0-9_-]{20,300}',
  'sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{20,300}',
  'sk-[A-Za-z0-9]{40,100}',
  'A[KS]IA[A-Z0-9]{16}',
  'xox[abprs]-[A-Za-z0-9-]{10,300}',
  'xapp-[A-Za-z0-9-]{10,300}',
  'npm_[A-Za-z0-9]{36,255}',
  'pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,1000}',
  'AIza[A-Za-z0-9_-]{35}',
  '[sr]k_(?:live|test)_[A-Za-z0-9]{16,300}',
  'eyJ[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+',
  '[Bb]earer [A-Za-z0-9._~+/=-]{16,}',
  '[Aa]uthorization: [Bb]asic [A-Za-z0-9+/=]{6,}',
  '-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[A-Za-z0-9+/=\\r\\n \\\\]{40,}',
];
