/** What several parts of a job in the config file are made of. */
import { z } from 'zod';

/** A shell line, or the program and its arguments. */
export const command: z.ZodType<string | readonly string[]> = z.union(
  [z.string().trim().min(1), z.array(z.string()).min(1)],
  { error: 'expected a shell line or a list of the program and its arguments' },
);

/** What a job, a step and a concurrency key may be called. */
export const name: z.ZodType<string, string> = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$/, {
  error: 'expected a letter or digit, then up to 62 letters, digits, - or _',
});

/** What an environment variable may be called. */
export const variableName: z.ZodType<string, string> = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, { error: 'expected a variable name' });
