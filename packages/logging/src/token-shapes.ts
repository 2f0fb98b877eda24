/** Well-known shapes of tokens, recognised without knowing their value. */

/** A token told by its prefix and the characters that follow. */
export interface TokenShape {
  /** What the replacement says: `[redacted:NAME]`. Letters, digits, `.`, `_` and `-`. */
  readonly name: string;
  /** How such a token starts, at least 3 bytes each. */
  readonly prefixes: readonly string[];
  /** The ASCII characters that may follow, as the inside of a regular expression's class, such as `A-Za-z0-9_-`. */
  readonly characters: string;
  /** How many of them must follow at least. */
  readonly minLength: number;
  /**
   * How many of them belong to the token at most.
   *
   * @defaultValue 16384
   */
  readonly maxLength?: number;
  /**
   * How many dots there must be among them, as a JSON web token has two.
   *
   * @defaultValue 0
   */
  readonly minDots?: number;
}

// The search skips ahead by the length of the shortest prefix: four bytes for all of these make it a third faster
// than three, so short prefixes are spelled out with every character that can follow.
const ALPHANUMERIC = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'.split('');
/** base64 of `{"` and the third byte's part, for a first key that starts with any lower-case letter. */
const JSON_HEADS = 'hijklmnopqrstuvwxyz0123456'.split('').map((character) => `eyJ${character}`);

/** The shapes applied when `patterns` is not given. */
export const DEFAULT_TOKEN_SHAPES: readonly TokenShape[] = [
  {
    name: 'github-token',
    prefixes: ['ghp_', 'gho_', 'ghu_', 'ghs_', 'ghr_'],
    characters: 'A-Za-z0-9',
    minLength: 36,
    maxLength: 255,
  },
  {
    name: 'github-token',
    prefixes: ['github_pat_'],
    characters: 'A-Za-z0-9_',
    minLength: 22,
    maxLength: 255,
  },
  { name: 'gitlab-token', prefixes: ['glpat-'], characters: 'A-Za-z0-9_.-', minLength: 20, maxLength: 300 },
  { name: 'anthropic-key', prefixes: ['sk-ant-'], characters: 'A-Za-z0-9_-', minLength: 20, maxLength: 300 },
  {
    name: 'openai-key',
    prefixes: ['sk-proj-', 'sk-svcacct-', 'sk-admin-'],
    characters: 'A-Za-z0-9_-',
    minLength: 20,
    maxLength: 300,
  },
  {
    name: 'openai-key',
    prefixes: ALPHANUMERIC.map((character) => `sk-${character}`),
    characters: 'A-Za-z0-9',
    minLength: 39,
    maxLength: 100,
  },
  {
    name: 'aws-access-key',
    prefixes: ['AKIA', 'ASIA'],
    characters: 'A-Z0-9',
    minLength: 16,
    maxLength: 16,
  },
  {
    name: 'slack-token',
    prefixes: ['xoxa-', 'xoxb-', 'xoxp-', 'xoxr-', 'xoxs-', 'xapp-'],
    characters: 'A-Za-z0-9-',
    minLength: 10,
    maxLength: 300,
  },
  { name: 'npm-token', prefixes: ['npm_'], characters: 'A-Za-z0-9', minLength: 36, maxLength: 255 },
  {
    name: 'pypi-token',
    prefixes: ['pypi-AgEIcHlwaS5vcmc'],
    characters: 'A-Za-z0-9_-',
    minLength: 50,
    maxLength: 1000,
  },
  { name: 'google-key', prefixes: ['AIza'], characters: 'A-Za-z0-9_-', minLength: 35, maxLength: 35 },
  {
    name: 'stripe-key',
    prefixes: ['sk_live_', 'rk_live_', 'sk_test_', 'rk_test_'],
    characters: 'A-Za-z0-9',
    minLength: 16,
    maxLength: 300,
  },
  { name: 'jwt', prefixes: JSON_HEADS, characters: 'A-Za-z0-9_.-', minLength: 30, minDots: 2 },
  {
    name: 'authorization',
    prefixes: ['Bearer ', 'bearer '],
    characters: 'A-Za-z0-9._~+/=-',
    minLength: 16,
  },
  {
    name: 'authorization',
    prefixes: [
      'Authorization: Basic ',
      'authorization: Basic ',
      'Authorization: basic ',
      'authorization: basic ',
    ],
    characters: 'A-Za-z0-9+/=',
    minLength: 6,
  },
  {
    name: 'private-key',
    prefixes: ['', 'RSA ', 'EC ', 'DSA ', 'OPENSSH ', 'ENCRYPTED '].map(
      (kind) => `-----BEGIN ${kind}PRIVATE KEY-----`,
    ),
    // The backslash admits newlines written as \n, as in JSON and environment files.
    characters: 'A-Za-z0-9+/=\\r\\n \\\\',
    minLength: 40,
  },
];
