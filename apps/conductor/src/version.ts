/** The app's version, read from its own package.json: `src` and `dist` lie beside it alike. */
import { readFileSync } from 'node:fs';

import { z } from 'zod';

/** For example `0.1.0`. */
export const VERSION: string = z
  .object({ version: z.string() })
  .parse(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'))).version;
