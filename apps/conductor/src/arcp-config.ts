/** The `arcp:` part of the config file. Invariant: no token lies in the file, only the names of the variables that hold them. */
import { z } from 'zod';

/** Who may submit jobs over ARCP, beside whoever has the shared token. */
export interface ArcpConfig {
  /** The variable that holds the token, by principal. */
  readonly tokens: Readonly<Record<string, string>>;
}

/** The principal of the shared token. */
export const SHARED_PRINCIPAL = 'local';

/** The `arcp:` part of the file. */
export const arcpSchema: z.ZodType<ArcpConfig> = z
  .strictObject({
    tokens: z
      .record(
        z
          .string()
          .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,62}$/, {
            error: 'expected a letter or digit, then up to 62 letters, digits or . _ @ -',
          })
          .refine((name) => name !== SHARED_PRINCIPAL, {
            error: `expected another name: "${SHARED_PRINCIPAL}" is whoever has the shared token`,
          }),
        z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected a variable name' }),
      )
      .default({})
      .describe(
        'The environment variable that holds the token, by principal: one sees nothing of another one’s jobs',
      ),
  })
  .prefault({});
